/* Finite state entropy as in Zstandard (RFC 8878, section 4.1), encoder side: for the weights
   of a Huffman tree and, with the predefined distributions, for sequences. */
#ifndef MVC_FSE_H
#define MVC_FSE_H

#include "portable.h"

#define FSE_MAX_LOG 6
#define FSE_MAX_SYMBOLS 53

typedef struct {
    int log;
    u16 next[1 << FSE_MAX_LOG];
    u32 bits[FSE_MAX_SYMBOLS];   /* most bits to put << 16, less the smallest state that puts so many */
    int32_t find[FSE_MAX_SYMBOLS];
} Fse;

typedef struct {
    u64 bits;
    unsigned used;
    u8 *to;
} BitWriter;

INLINE void put_bits(BitWriter *w, u32 value, unsigned n)
{
    w->bits |= (u64)(value & ((1u << n) - 1)) << w->used;
    w->used += n;
}

INLINE void put_flush(BitWriter *w) /* needs 8 writable bytes */
{
    store64(w->to, w->bits);
    w->to += w->used >> 3;
    w->bits >>= w->used & 56;
    w->used &= 7;
}

INLINE u8 *put_end(BitWriter *w)
{
    put_bits(w, 1, 1);
    put_flush(w);
    if (w->used) w->to++;
    return w->to;
}

/* The encoding table of a distribution: probabilities in 1 / 2^log, -1 for "less than one". */
static void fse_build(Fse *t, const int8_t *norm, int symbols, int log)
{
    const u32 size = 1u << log, mask = size - 1, step = (size >> 1) + (size >> 3) + 3;
    u8 spread[1 << FSE_MAX_LOG];
    u16 start[FSE_MAX_SYMBOLS + 1];
    u32 high = size - 1, at = 0;
    t->log = log;
    start[0] = 0;
    for (int s = 0; s < symbols; s++) {
        start[s + 1] = (u16)(start[s] + (norm[s] == -1 ? 1 : norm[s]));
        if (norm[s] == -1) spread[high--] = (u8)s;
    }
    for (int s = 0; s < symbols; s++)
        for (int i = 0; i < norm[s]; i++) {
            spread[at] = (u8)s;
            do at = (at + step) & mask; while (at > high);
        }
    for (u32 u = 0; u < size; u++) t->next[start[spread[u]]++] = (u16)(size + u);
    int total = 0;
    for (int s = 0; s < symbols; s++) {
        int n = norm[s];
        if (n == 0) continue;
        if (n == 1 || n == -1) {
            t->bits[s] = ((u32)log << 16) - (1u << log);
            t->find[s] = total++ - 1;
        } else {
            u32 most = (u32)log - HIGHBIT32((u32)n - 1);
            t->bits[s] = (most << 16) - ((u32)n << most);
            t->find[s] = total - n;
            total += n;
        }
    }
}

INLINE u32 fse_first(const Fse *t, int s) /* the smallest state that stands for `s` */
{
    u32 most = (t->bits[s] + (1u << 15)) >> 16;
    u32 value = (most << 16) - t->bits[s];
    return t->next[(int32_t)(value >> most) + t->find[s]];
}

INLINE u32 fse_put(const Fse *t, u32 state, int s, BitWriter *w)
{
    u32 n = (state + t->bits[s]) >> 16;
    put_bits(w, state, n);
    return t->next[(int32_t)(state >> n) + t->find[s]];
}

/* Probabilities that sum to 2^log, each at least 1 where count is; the largest takes what is left. */
static int fse_normalise(int8_t *norm, const u32 *count, int symbols, u32 total, int log)
{
    int left = 1 << log, best = 0;
    for (int s = 0; s < symbols; s++) {
        norm[s] = 0;
        if (!count[s]) continue;
        u32 share = (u32)(((u64)count[s] << log) / total);
        norm[s] = (int8_t)(share ? share : 1);
        left -= norm[s];
        if (count[s] > count[best]) best = s;
    }
    while (left < 0) { /* many rare ones were lifted: take from the largest */
        for (int s = 0; s < symbols; s++)
            if (norm[s] > norm[best]) best = s;
        if (norm[best] <= 1) return 0;
        norm[best]--;
        left++;
    }
    norm[best] = (int8_t)(norm[best] + left);
    return 1;
}

/* A distribution without -1 as a table description; returns its bytes (fewer than 32). */
static size_t fse_write_norm(const int8_t *norm, int symbols, int log, u8 *out)
{
    BitWriter w = {0, 0, out};
    int left = (1 << log) + 1, threshold = 1 << log, bits = log + 1, s = 0, after_zero = 0;
    put_bits(&w, (u32)log - 5, 4);
    while (s < symbols && left > 1) {
        if (after_zero) {
            int start = s;
            while (s < symbols && !norm[s]) s++;
            for (; s >= start + 3; start += 3) put_bits(&w, 3, 2), put_flush(&w);
            put_bits(&w, (u32)(s - start), 2);
        }
        int value = norm[s], most = 2 * threshold - 1 - left;
        left -= value;
        after_zero = value == 0;
        s++;
        value++;
        if (value >= threshold) value += most;
        put_bits(&w, (u32)value, (unsigned)(bits - (value < most)));
        put_flush(&w);
        while (left < threshold) bits--, threshold >>= 1;
    }
    return (size_t)(w.to - out) + (w.used > 0);
}

/* Huffman weights (0..11) through FSE with two states in turn. 0 if that does not work out. */
static size_t fse_write_weights(const u8 *weights, int n, u8 *out, size_t room)
{
    u32 count[12] = {0}, most = 0;
    int symbols = 0;
    if (n <= 2) return 0;
    for (int i = 0; i < n; i++) count[weights[i]]++;
    for (int s = 0; s < 12; s++) {
        if (count[s]) symbols = s + 1;
        if (count[s] > most) most = count[s];
    }
    if ((int)most == n || most == 1) return 0;
    int log = n > 40 ? 6 : 5;
    int8_t norm[12] = {0};
    Fse t;
    u8 buffer[32 + 256 + 16];
    if (!fse_normalise(norm, count, symbols, (u32)n, log)) return 0;
    fse_build(&t, norm, symbols, log);
    size_t head = fse_write_norm(norm, symbols, log, buffer);
    BitWriter w = {0, 0, buffer + head};
    u32 state[2];
    int i = n;
    state[(n - 1) & 1] = fse_first(&t, weights[--i]); /* symbol i belongs to state i % 2 */
    state[(n - 2) & 1] = fse_first(&t, weights[--i]);
    while (i > 0) {
        i--;
        state[i & 1] = fse_put(&t, state[i & 1], weights[i], &w);
        put_flush(&w);
    }
    put_bits(&w, state[1], (unsigned)log);
    put_bits(&w, state[0], (unsigned)log);
    put_flush(&w);
    size_t size = (size_t)(put_end(&w) - buffer);
    if (size > room) return 0;
    memcpy(out, buffer, size);
    return size;
}

#endif
