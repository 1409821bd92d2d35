/* A plane of bytes as an ordinary Zstandard frame (RFC 8878), by entropy alone: each block is
   raw, one repeated byte, or literals under a Huffman code of their own, with long runs of one
   byte taken out as matches at distance 1. No search for other matches: on planes of floats
   that search costs most of the time and finds next to nothing. */
#ifndef MVC_FRAME_H
#define MVC_FRAME_H

#include <math.h>

#include "huffman.h"

#define FRAME_SEGMENT (16 * 1024)  /* blocks are joined from segments of this size */
#define FRAME_BLOCK (128 * 1024)   /* the largest block that Zstandard has */
#define FRAME_RUN 24               /* a shorter run costs less as literals */
#define FRAME_TABLE_BITS 400       /* what a block of its own costs in tables and headers, about */
#define FRAME_PAIRED (24 * 1024)   /* for fewer bytes a table of pairs does not pay */
#define FRAME_SLACK 256

typedef struct {
    u32 literals; /* before the run */
    u32 length;   /* of the run */
} Run;

typedef struct {
    u32 count[8][256];
    u8 literals[FRAME_BLOCK + 32];
    u8 stream[FRAME_BLOCK / 4 * 11 / 8 + 32];
    Run runs[FRAME_BLOCK / FRAME_RUN + 1];
    Huffman code;     /* of the last block that has one */
    float code_waste; /* what that takes to what entropy says; 0 if it is not to be used again */
    int more;         /* whether a whole block follows, which may use the code again */
    Pairs *pairs;     /* where a table of pairs may be made */
    int paired;       /* whether `pairs` is that of `code` */
} FrameWork;

#define FRAME_ROOM(n) ((n) + (n) / FRAME_SEGMENT * 3 + 2 * FRAME_BLOCK + FRAME_SLACK)

static const u8 LL_BITS[36] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const u32 LL_BASE[36] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
static const u8 ML_BITS[53] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const u32 ML_BASE[53] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539};
static const int8_t LL_NORM[36] = {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
static const int8_t ML_NORM[53] = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

static Fse LL_TABLE, ML_TABLE;
static float LOG2_TABLE[4096];

static void frame_setup(void) /* once, when the module is loaded */
{
    fse_build(&LL_TABLE, LL_NORM, 36, 6);
    fse_build(&ML_TABLE, ML_NORM, 53, 6);
    LOG2_TABLE[0] = 0;
    for (int i = 1; i < 4096; i++) LOG2_TABLE[i] = (float)log2(i);
}

INLINE float log2_of(u32 x) /* about; only to judge */
{
    if (x < 4096) return LOG2_TABLE[x];
    unsigned shift = HIGHBIT32(x) - 11;
    return LOG2_TABLE[x >> shift] + (float)shift;
}

INLINE int all_32(const u8 *p, u64 v) /* 32 bytes, each eight of which are `v`? */
{
    return ((v ^ load64(p)) | (v ^ load64(p + 8)) | (v ^ load64(p + 16)) | (v ^ load64(p + 24))) == 0;
}

INLINE int same_8(u64 v) { return v == (v >> 8 | v << 56); } /* eight equal bytes? */

/* Eight tables, because a counter that is hit again has to wait for its own store; and stretches
   of one byte are counted at once. */
CLONES static void frame_histogram(const u8 *src, size_t n, FrameWork *work, u32 *total)
{
    u32 (*count)[256] = work->count;
    memset(count, 0, sizeof work->count);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const u64 first = load64(src + i);
        if (same_8(first) && all_32(src + i, first)) {
            const size_t start = i;
            while (i + 64 <= n && all_32(src + i + 32, first)) i += 32;
            count[0][first & 255] += (u32)(i + 32 - start);
            continue;
        }
        for (size_t k = i; k < i + 32; k += 8) {
            const u64 v = load64(src + k);
            count[0][v & 255]++;
            count[1][v >> 8 & 255]++;
            count[2][v >> 16 & 255]++;
            count[3][v >> 24 & 255]++;
            count[4][v >> 32 & 255]++;
            count[5][v >> 40 & 255]++;
            count[6][v >> 48 & 255]++;
            count[7][v >> 56]++;
        }
    }
    for (; i < n; i++) count[0][src[i]]++;
    for (int s = 0; s < 256; s++) {
        u32 sum = 0;
        for (int k = 0; k < 8; k++) sum += count[k][s];
        total[s] = sum;
    }
}

static float frame_entropy(const u32 *count, u32 total) /* bits */
{
    float bits = 0, whole = log2_of(total);
    for (int s = 0; s < 256; s++)
        if (count[s]) bits += (float)count[s] * (whole - log2_of(count[s]));
    return bits;
}

INLINE int same_16(const u8 *p) /* 16 equal bytes? */
{
    u64 v = load64(p);
    return v == load64(p + 8) && same_8(v);
}

#if HAVE_AVX2
/* The first 16 equal bytes at `i` or a multiple of 16 beyond; past n - 16 if there are none. */
AVX2 static size_t next_same_16(const u8 *src, size_t i, size_t n)
{
    for (; i + 32 <= n; i += 32) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(src + i));
        const u32 same = (u32)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_alignr_epi8(v, v, 1)));
        if ((same & 0xFFFF) == 0xFFFF) return i;
        if (same >> 16 == 0xFFFF) return i + 16;
    }
    return i + 16 <= n && !same_16(src + i) ? i + 16 : i;
}
#endif

/* Takes the long runs out of a block. Returns how many; the literals then stand in work->literals. */
static size_t frame_runs(const u8 *src, size_t n, FrameWork *work, size_t *n_literals)
{
    size_t found = 0, done = 0, kept = 0;
    for (size_t i = 0; i + 16 <= n;) {
        if (LIKELY(!same_16(src + i))) {
            i += 16;
#if HAVE_AVX2
            if (has_avx2()) i = next_same_16(src, i, n);
#endif
            continue;
        }
        size_t start = i, stop = i + 16;
        const u64 v = load64(src + i);
        while (start > done && src[start - 1] == src[i]) start--;
        while (stop + 32 <= n && all_32(src + stop, v)) stop += 32;
        while (stop + 8 <= n && load64(src + stop) == v) stop += 8;
        while (stop < n && src[stop] == src[i]) stop++;
        start++; /* the run's first byte is a literal, from which the match copies */
        if (stop - start >= FRAME_RUN) {
            memcpy(work->literals + kept, src + done, start - done);
            work->runs[found].literals = (u32)(start - done);
            work->runs[found++].length = (u32)(stop - start);
            kept += start - done;
            done = stop;
        }
        i = (stop + 15) & ~(size_t)15;
    }
    if (found) memcpy(work->literals + kept, src + done, n - done);
    *n_literals = kept + n - done;
    return found;
}

INLINE unsigned ll_code(u32 v) { unsigned c = v < 16 ? v : v < 64 ? 16 : HIGHBIT32(v) + 19; while (c < 35 && LL_BASE[c + 1] <= v) c++; return c; }
INLINE unsigned ml_code(u32 v) { unsigned c = v < 35 ? v - 3 : v < 131 ? 32 : HIGHBIT32(v - 3) + 36; while (c < 52 && ML_BASE[c + 1] <= v) c++; return c; }

/* The sequences section: predefined tables for the lengths, every offset the repeated one, 1. */
static size_t frame_sequences(const Run *runs, size_t n, u8 *out)
{
    u8 *to = out;
    if (n < 128) {
        *to++ = (u8)n;
    } else {
        *to++ = (u8)((n >> 8) + 128);
        *to++ = (u8)n;
    }
    if (!n) return 1;
    *to++ = 0x10; /* lengths: predefined; offsets: one repeated code */
    *to++ = 0;    /* offset code 0: the last offset, 1 at a frame's start */
    BitWriter w = {0, 0, to};
    unsigned l = ll_code(runs[n - 1].literals), m = ml_code(runs[n - 1].length);
    u32 ls = fse_first(&LL_TABLE, (int)l), ms = fse_first(&ML_TABLE, (int)m);
    for (size_t i = n - 1;;) {
        put_bits(&w, runs[i].literals - LL_BASE[l], LL_BITS[l]);
        put_bits(&w, runs[i].length - ML_BASE[m], ML_BITS[m]);
        put_flush(&w);
        if (i-- == 0) break;
        l = ll_code(runs[i].literals);
        m = ml_code(runs[i].length);
        ms = fse_put(&ML_TABLE, ms, (int)m, &w);
        ls = fse_put(&LL_TABLE, ls, (int)l, &w);
        put_flush(&w);
    }
    put_bits(&w, ms, 6);
    put_bits(&w, ls, 6);
    put_flush(&w);
    return (size_t)(put_end(&w) - out);
}

/* The literals section's header: kind 0 raw, 1 repeated byte. */
static size_t frame_plain_literals(int kind, size_t n, u8 *out)
{
    if (n < 32) {
        out[0] = (u8)(kind | n << 3);
        return 1;
    }
    if (n < 4096) {
        store16(out, (unsigned)(kind | 1 << 2 | n << 4));
        return 2;
    }
    store24(out, (unsigned)(kind | 3 << 2 | n << 4));
    return 3;
}

/* The jump table and four streams, of which each may write 11 bits a symbol. `room` is for the one that is made beside its neighbour. */
INLINE size_t frame_streams_if(int check, const u64 *entry, const u64 *pairs, const u8 *src, size_t n, u8 *out, u8 *room)
{
    int good = 1;
    const size_t quarter = (n + 3) / 4;
    u8 *at = out + 6;
    for (int i = 0; i < 4 && good; i += 2) {
        const u8 *one = src + (size_t)i * quarter, *two = one + quarter;
        u8 *stop = at, *other = room;
        good &= huffman_streams(check, entry, pairs, one, quarter, two, i ? (size_t)(src + n - two) : quarter, &stop, &other);
        memcpy(stop, room, (size_t)(other - room));
        store16(out + 2 * i, (unsigned)(stop - at));
        if (!i) store16(out + 2, (unsigned)(other - room));
        at = stop + (other - room);
    }
    return good ? (size_t)(at - out) : 0;
}

CLONES static size_t frame_streams(const u64 *entry, const u64 *pairs, const u8 *src, size_t n, u8 *out, u8 *room)
{
    return pairs ? frame_streams_if(0, entry, pairs, src, n, out, room) : frame_streams_if(0, entry, NULL, src, n, out, room);
}

/* The same; 0 if a symbol has no code. */
CLONES static size_t frame_streams_checked(const u64 *entry, const u64 *pairs, const u8 *src, size_t n, u8 *out, u8 *room)
{
    return pairs ? frame_streams_if(1, entry, pairs, src, n, out, room) : frame_streams_if(1, entry, NULL, src, n, out, room);
}

/* The header of literals under a Huffman code: kind 2 with its tree, 3 with the tree of the block before. */
static void frame_coded_literals(unsigned kind, size_t head, size_t n, size_t size, u8 *out)
{
    u64 bits = kind | (u64)(head - 2) << 2 | (u64)n << 4 | (u64)size << (head == 3 ? 14 : head == 4 ? 18 : 22);
    for (size_t i = 0; i < head; i++) out[i] = (u8)(bits >> 8 * i);
}

static u64 frame_coded_bits(const Huffman *h, const u32 *count) /* a symbol without a code: far too many */
{
    u64 bits = 0;
    for (int s = 0; s < 256; s++) bits += (u64)count[s] * (h->length[s] ? h->length[s] : 1u << 20);
    return bits;
}

/* Counts with a place for symbols that the next block may bring: neighbours of those that are there,
   above all below, where the exponents of small weights thin out. They cost a thousandth. */
static void frame_likely(const u32 *count, u32 *likely)
{
    for (int s = 0; s < 256; s++) {
        int near = s > 0 && count[s - 1];
        for (int k = 1; k <= 4 && s + k < 256; k++) near |= count[s + k] > 0;
        likely[s] = count[s] ? count[s] : near != 0;
    }
}

/* The literals section of a block, the smallest of its three kinds. */
static size_t frame_literals(const u8 *src, size_t n, const u32 *count, FrameWork *work, u8 *out)
{
    int kinds = 0, only = 0;
    for (int s = 0; s < 256; s++)
        if (count[s]) kinds++, only = s;
    if (kinds == 1 && n > 1) {
        size_t head = frame_plain_literals(1, n, out);
        out[head] = (u8)only;
        return head + 1;
    }
    if (n >= 64) { /* below, four streams with their headers gain nothing */
        Huffman h;
        u32 likely[256];
        const int again = n == FRAME_BLOCK && work->more;
        if (again) frame_likely(count, likely);
        huffman_build(&h, again ? likely : count);
        const u64 bits = frame_coded_bits(&h, count);
        size_t head = n < 1024 ? 3 : n < 16384 ? 4 : 5;
        size_t tree = bits / 8 + 16 < n ? huffman_write_tree(&h, out + head) : 0;
        if (tree && bits / 8 + head + tree + 11 < n) {
            work->paired = n >= FRAME_PAIRED && pairs_build(work->pairs, &h);
            const u64 *pairs = work->paired ? work->pairs->entry : NULL;
            size_t size = tree + frame_streams(h.entry, pairs, src, n, out + head + tree, work->stream);
            frame_coded_literals(2, head, n, size, out);
            work->code = h;
            work->code_waste = again ? (float)bits / frame_entropy(count, (u32)n) : 0;
            return head + size;
        }
    }
    size_t head = frame_plain_literals(0, n, out);
    memcpy(out + head, src, n);
    return head + n;
}

/* One block with its header. `count` is its histogram. */
static size_t frame_block(const u8 *src, size_t n, u32 *count, int last, FrameWork *work, u8 *out)
{
    if (count[src[0]] == n) {
        store24(out, (unsigned)(last | 1 << 1 | n << 3));
        out[3] = src[0];
        return 4;
    }
    size_t n_literals, runs = frame_runs(src, n, work, &n_literals);
    const u8 *literals = src;
    if (runs) {
        const u8 *at = src;
        literals = work->literals;
        for (size_t i = 0; i < runs; i++) {
            at += work->runs[i].literals;
            count[*at] -= work->runs[i].length;
            at += work->runs[i].length;
        }
    }
    size_t size = frame_literals(literals, n_literals, count, work, out + 3);
    size += frame_sequences(work->runs, runs, out + 3 + size);
    if (size >= n) {
        work->code_waste = 0; /* the reader does not get to see that code */
        store24(out, (unsigned)(last | 0 << 1 | n << 3));
        memcpy(out + 3, src, n);
        return n + 3;
    }
    store24(out, (unsigned)(last | 2 << 1 | size << 3));
    return size + 3;
}

/* A whole block under the code of the one before, if a sample says that it suits; 0 if not. That
   saves counting its bytes, which takes as long as coding them, and the reader a table. */
static size_t frame_again(const u8 *src, int last, FrameWork *work, u8 *out)
{
    u32 count[256];
    size_t n_literals, sample = 0;
    if (frame_runs(src, FRAME_BLOCK, work, &n_literals)) return 0;
    for (size_t at = 0; at < FRAME_BLOCK; at += 2048, sample += 128) memcpy(work->literals + sample, src + at, 128);
    frame_histogram(work->literals, sample, work, count);
    float entropy = frame_entropy(count, (u32)sample);
    for (int s = 0; s < 256; s++) entropy += count[s] ? 0.72f : 0; /* what a sample's lacks (Miller 1955) */
    if ((float)frame_coded_bits(&work->code, count) > entropy * work->code_waste * 1.005f) return 0;
    const u64 *pairs = work->paired ? work->pairs->entry : NULL;
    size_t size = frame_streams_checked(work->code.entry, pairs, src, FRAME_BLOCK, out + 3 + 5, work->stream);
    if (!size || size + 6 >= FRAME_BLOCK) return 0;
    frame_coded_literals(3, 5, FRAME_BLOCK, size, out + 3);
    size += 5;
    size += frame_sequences(NULL, 0, out + 3 + size);
    store24(out, (unsigned)(last | 2 << 1 | size << 3));
    return size + 3;
}

/* The frame of `n` bytes (1 <= n < 2^32) into `out`, which has FRAME_ROOM(n). */
static size_t frame_write(const u8 *src, size_t n, FrameWork *work, Pairs *pairs, u8 *out)
{
    work->pairs = pairs;
    work->paired = 0;
    u8 *to = out;
    store32(to, 0xFD2FB528u);
    to += 4;
    if (n < 256) {
        *to++ = 0x20;
        *to++ = (u8)n;
    } else if (n < 65536 + 256) {
        *to++ = 0x60;
        store16(to, (unsigned)(n - 256));
        to += 2;
    } else {
        *to++ = 0xA0;
        store32(to, (u32)n);
        to += 4;
    }
    u32 count[256], next[256], joined[256];
    size_t ahead = 0; /* bytes of the segment after the block before, if it was looked at: its counts are `next` */
    float next_bits = 0;
    work->code_waste = 0;
    for (size_t at = 0, size; at < n; at += size) {
        if (!ahead && work->code_waste > 0 && n - at >= FRAME_BLOCK) {
            size_t written = frame_again(src + at, at + FRAME_BLOCK == n, work, to);
            if (written) {
                to += written;
                size = FRAME_BLOCK;
                continue;
            }
        }
        size = ahead ? ahead : n - at < FRAME_SEGMENT ? n - at : FRAME_SEGMENT;
        if (ahead)
            memcpy(count, next, sizeof count);
        else
            frame_histogram(src + at, size, work, count);
        float bits = ahead ? next_bits : frame_entropy(count, (u32)size);
        ahead = 0;
        while (size < FRAME_BLOCK && at + size < n) {
            size_t more = n - at - size < FRAME_SEGMENT ? n - at - size : FRAME_SEGMENT;
            frame_histogram(src + at + size, more, work, next);
            next_bits = frame_entropy(next, (u32)more);
            for (int s = 0; s < 256; s++) joined[s] = count[s] + next[s];
            float joined_bits = frame_entropy(joined, (u32)(size + more));
            if (size + more > FRAME_BLOCK || joined_bits >= bits + next_bits + FRAME_TABLE_BITS) {
                ahead = more;
                break;
            }
            memcpy(count, joined, sizeof count);
            bits = joined_bits;
            size += more;
        }
        work->more = n - at - size >= FRAME_BLOCK;
        to += frame_block(src + at, size, count, at + size == n, work, to);
    }
    return (size_t)(to - out);
}

#endif
