/* Counting NaN and infinite values: by bits, so that nothing is rounded or trapped. */
#ifndef MVC_STATS_H
#define MVC_STATS_H

#include "portable.h"

#define NONFINITE(bits, type, sum, block)                                                                \
    CLONES static void nonfinite_##bits(const u8 *raw, size_t n, u64 top, u64 *nan, u64 *inf)              \
    {                                                                                                      \
        UNALIGNED(type, element);                                                                          \
        const element *x = (const element *)raw;                                                           \
        const type mask = (type)(((type)~(type)0) >> 1), limit = (type)top;                                \
        for (size_t at = 0; at < n; at += block) {                                                         \
            size_t m = n - at < block ? n - at : block;                                                    \
            type most = 0;                                                                                 \
            for (size_t i = 0; i < m; i++) {                                                               \
                type a = (type)(x[at + i] & mask);                                                         \
                most = a > most ? a : most;                                                                \
            }                                                                                              \
            if (most < limit) continue;                                                                    \
            sum above = 0, equal = 0;                                                                      \
            for (size_t i = 0; i < m; i++) {                                                               \
                type a = (type)(x[at + i] & mask);                                                         \
                above = (sum)(above + (a > limit));                                                        \
                equal = (sum)(equal + (a == limit));                                                       \
            }                                                                                              \
            *nan += above;                                                                                 \
            *inf += equal;                                                                                 \
        }                                                                                                  \
    }

NONFINITE(8, uint8_t, uint16_t, 4096)
NONFINITE(16, uint16_t, uint16_t, 4096)
NONFINITE(32, uint32_t, uint32_t, 4096)
NONFINITE(64, uint64_t, uint64_t, 4096)

#endif
