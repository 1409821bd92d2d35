/* Huffman codes as Zstandard has them (RFC 8878, section 4.2): lengths of at most 11 bits,
   canonical by weight, the tree told as weights, direct or through FSE. */
#ifndef MVC_HUFFMAN_H
#define MVC_HUFFMAN_H

#include "fse.h"

#define HUF_MAX_BITS 11
#define HUF_NO_CODE 256u /* the entry of a symbol without a code; up to seven of them add up to HUF_NO_CODES */
#define HUF_NO_CODES (7 * HUF_NO_CODE)

typedef struct {
    u8 length[256];
    u64 entry[256]; /* the code in the highest bits, its length in the lowest */
    int last;       /* highest symbol that occurs */
    int max_bits;
} Huffman;

/* The symbols that occur, rarest first, ties by value: two passes of a radix sort over 18 bits. */
static int huffman_sort(const u32 *count, u16 *symbol)
{
    u16 by_low[256], start[2][512];
    int n = 0;
    memset(start, 0, sizeof start);
    for (int s = 0; s < 256; s++)
        if (count[s]) start[0][count[s] & 511]++, start[1][count[s] >> 9]++, n++;
    u16 at[2] = {0, 0};
    for (int i = 0; i < 512; i++)
        for (int k = 0; k < 2; k++) {
            u16 size = start[k][i];
            start[k][i] = at[k];
            at[k] = (u16)(at[k] + size);
        }
    for (int s = 0; s < 256; s++)
        if (count[s]) by_low[start[0][count[s] & 511]++] = (u16)s;
    for (int i = 0; i < n; i++) symbol[start[1][count[by_low[i]] >> 9]++] = by_low[i];
    return n;
}

/* Code lengths for `count` (at most 2^18 - 1 each), at least two of which are not zero. Two-queue construction
   (van Leeuwen 1976), then lengths above the limit are cut and the Kraft sum is mended. */
static void huffman_build(Huffman *h, const u32 *count)
{
    u16 symbol[256];
    u32 weight[512];
    u16 parent[512];
    u8 depth[512];
    int n = huffman_sort(count, symbol);
    memset(h->length, 0, sizeof h->length);
    h->last = 255;
    while (!count[h->last]) h->last--;
    for (int i = 0; i < n; i++) weight[i] = count[symbol[i]];
    int leaf = 0, inner = n;
    for (int next = n; next < 2 * n - 1; next++) {
        u32 sum = 0;
        for (int k = 0; k < 2; k++) {
            int take = leaf < n && (inner >= next || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
            sum += weight[take];
            parent[take] = (u16)next;
        }
        weight[next] = sum;
    }
    depth[2 * n - 2] = 0;
    for (int i = 2 * n - 3; i >= 0; i--) depth[i] = (u8)(depth[parent[i]] + 1);

    u32 kraft = 0;
    const u32 full = 1u << HUF_MAX_BITS;
    for (int i = 0; i < n; i++) {
        if (depth[i] > HUF_MAX_BITS) depth[i] = HUF_MAX_BITS;
        kraft += full >> depth[i];
    }
    for (int i = 0; kraft > full;) { /* lengthen the longest codes that may grow: those of the rarest */
        if (depth[i] == HUF_MAX_BITS)
            i++;
        else
            kraft -= full >> ++depth[i];
    }
    for (int i = n - 1; i >= 0 && kraft < full; i--)
        while (depth[i] > 1 && kraft + (full >> depth[i]) <= full) kraft += full >> depth[i], depth[i]--;

    h->max_bits = 0;
    for (int i = 0; i < n; i++) {
        h->length[symbol[i]] = depth[i];
        if (depth[i] > h->max_bits) h->max_bits = depth[i];
    }
    u32 of_length[HUF_MAX_BITS + 2] = {0}, first[HUF_MAX_BITS + 2], code = 0;
    for (int s = 0; s < 256; s++) of_length[h->length[s]]++;
    for (int l = h->max_bits; l > 0; l--) {
        first[l] = code;
        code = (code + of_length[l]) >> 1;
    }
    for (int s = 0; s < 256; s++) {
        int l = h->length[s];
        h->entry[s] = l ? (u64)first[l]++ << (64 - l) | (u64)l : HUF_NO_CODE;
    }
}

/* Codes of two symbols at once: half as many look-ups make a stream in half the time. `entry` is
   indexed by two bytes as they lie in memory. It is kept from code to code, and only what the code
   before has set is cleared; `made` tells whether this memory has held a table at all. */
#define PAIRS_MADE 0x4D5643706169727EULL
#define PAIRS_MOST 96 /* symbols with codes; with more, making the table takes too long */

typedef struct {
    u64 entry[65536];
    u64 made;
    u32 count;
    u8 symbol[256];
} Pairs;

static int pairs_build(Pairs *t, const Huffman *h) /* 0 if the code has too many symbols */
{
    u8 symbol[256];
    u32 count = 0;
    for (int s = 0; s < 256; s++)
        if (h->length[s]) symbol[count++] = (u8)s;
    if (count > PAIRS_MOST) return 0;
    if (t->made != PAIRS_MADE || t->count > PAIRS_MOST) {
        for (int i = 0; i < 65536; i++) t->entry[i] = HUF_NO_CODE;
        t->made = PAIRS_MADE;
    } else {
        for (u32 i = 0; i < t->count; i++)
            for (u32 k = 0; k < t->count; k++) t->entry[t->symbol[i] << 8 | t->symbol[k]] = HUF_NO_CODE;
    }
    memcpy(t->symbol, symbol, count);
    t->count = count;
    for (u32 i = 0; i < count; i++) { /* the higher byte comes first: streams are made from their end */
        const u64 one = h->entry[symbol[i]], length = one & 63, code = one ^ length;
        for (u32 k = 0; k < count; k++) {
            const u64 two = h->entry[symbol[k]];
            t->entry[symbol[i] << 8 | symbol[k]] = (code >> (two & 63) | two) + length;
        }
    }
    return 1;
}

/* The tree description; at most 129 bytes. 0 if it cannot be written (then: no Huffman). */
static size_t huffman_write_tree(const Huffman *h, u8 *out)
{
    u8 weights[256];
    int n = h->last; /* the last weight is implied */
    for (int s = 0; s < n; s++) weights[s] = h->length[s] ? (u8)(h->max_bits + 1 - h->length[s]) : 0;
    size_t packed = fse_write_weights(weights, n, out + 1, 127);
    size_t direct = n <= 128 ? (size_t)(n + 1) / 2 : (size_t)-1;
    if (packed && packed < direct && packed < 128) {
        out[0] = (u8)packed;
        return packed + 1;
    }
    if (n > 128) return 0;
    out[0] = (u8)(127 + n);
    for (int i = 0; i < n; i += 2) out[1 + i / 2] = (u8)(weights[i] << 4 | (i + 1 < n ? weights[i + 1] : 0));
    return direct + 1;
}

/* Two backward bit streams at a time, of `n` and `m` symbols, n - m in 0..3; each may write up to
   8 bytes past its end. Bits enter at the top of a word, so that one entry serves both as what
   is put (its high bits) and as how far to shift (its low byte): after van den Ende and Collet's
   layout in Zstandard 1.5. 4 * 11 + 7 bits leave the low byte free. With `check`, returns 0 if a
   symbol had no code. `pairs`: the same code's, or NULL. */
INLINE int huffman_streams(int check, const u64 *entry, const u64 *pairs, const u8 *one, size_t n, const u8 *two, size_t m, u8 **to_one, u8 **to_two)
{
    u64 a = 0, b = 0, seen = 0;
    size_t a_used = 0, b_used = 0;
    u8 *x = *to_one, *y = *to_two;
    const u8 *p = one + n, *q = two + m;
#define PUT(bits, used, symbol) do { const u64 e = entry[symbol]; bits = bits >> (e & 63) | e; used += e; } while (0)
#define PUT_PAIR(bits, used, at) do { const u64 e = pairs[load16(at)]; bits = bits >> (e & 63) | e; used += e; } while (0)
#define FLUSH(bits, used, to) do { if (check) seen |= used; used &= 255; store64(to, bits >> ((64 - used) & 63)); to += used >> 3; used &= 7; } while (0)
    for (size_t i = n % 4; i; i--) PUT(a, a_used, *--p);
    for (size_t i = m % 4; i; i--) PUT(b, b_used, *--q);
    if (a_used) FLUSH(a, a_used, x);
    if (b_used) FLUSH(b, b_used, y);
    size_t fours = n / 4 < m / 4 ? n / 4 : m / 4;
    for (size_t i = pairs ? fours : 0; i; i--) {
        PUT_PAIR(a, a_used, p - 2); PUT_PAIR(b, b_used, q - 2);
        PUT_PAIR(a, a_used, p - 4); PUT_PAIR(b, b_used, q - 4);
        p -= 4, q -= 4;
        FLUSH(a, a_used, x);
        FLUSH(b, b_used, y);
    }
    for (size_t i = pairs ? 0 : fours; i; i--) {
        PUT(a, a_used, p[-1]); PUT(b, b_used, q[-1]);
        PUT(a, a_used, p[-2]); PUT(b, b_used, q[-2]);
        PUT(a, a_used, p[-3]); PUT(b, b_used, q[-3]);
        PUT(a, a_used, p[-4]); PUT(b, b_used, q[-4]);
        p -= 4, q -= 4;
        FLUSH(a, a_used, x);
        FLUSH(b, b_used, y);
    }
    for (; p > one; p -= 4) {
        PUT(a, a_used, p[-1]); PUT(a, a_used, p[-2]); PUT(a, a_used, p[-3]); PUT(a, a_used, p[-4]);
        FLUSH(a, a_used, x);
    }
    for (; q > two; q -= 4) {
        PUT(b, b_used, q[-1]); PUT(b, b_used, q[-2]); PUT(b, b_used, q[-3]); PUT(b, b_used, q[-4]);
        FLUSH(b, b_used, y);
    }
    /* the mark that ends a stream: a one, below which the reader starts */
    const u64 mark = (u64)1 << 63 | 1;
    a = a >> 1 | mark, a_used++;
    b = b >> 1 | mark, b_used++;
    store64(x, a >> (64 - a_used));
    store64(y, b >> (64 - b_used));
    *to_one = x + (a_used + 7) / 8;
    *to_two = y + (b_used + 7) / 8;
    return !(seen & HUF_NO_CODES);
#undef PUT
#undef PUT_PAIR
#undef FLUSH
}

#endif
