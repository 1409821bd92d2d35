/* Elements to planes and back, block by block: a block's elements are loaded, transformed and
   taken apart while they lie in the first-level cache, so each byte is read and written once. */
#ifndef MVC_PLANES_H
#define MVC_PLANES_H

#include "portable.h"

#define BLOCK 2048     /* elements; a multiple of 8, so that sub-byte planes of a block fill bytes */
#define MAX_GROUPS 8
#define MAX_PLANES 10  /* 8 bytes, the lowest of which may be three planes */

enum { PLAIN = 0, ROTATE = 1, DELTA = 2, CAST_BF16 = 3, CAST_F16 = 4 }; /* the transforms */

/* What is done to the elements, and with what. */
typedef struct {
    int transform;
    int width;      /* bytes an element: 1, 2, 4, 8 */
    int low;        /* the lowest byte: 0 whole, 1 as 4+4 bits, 2 as 2+2+4 bits */
    int thresholds; /* how many; 0: the elements stay in place */
    int key_shift;  /* an element's key: the highest 8 bits of its prediction, shifted left by so many */
    u8 threshold[MAX_GROUPS - 1]; /* ascending; an element's group: how many are at most its key */
    size_t n;       /* elements */
    const u8 *base;
    size_t base_size;
} Scheme;

typedef struct {
    u8 *at[MAX_PLANES];
    int constant[MAX_PLANES]; /* encoding: still one value?  decoding: the value, or -1 */
    u8 value[MAX_PLANES];
} Planes;

static const u8 LOW_BITS[3][3] = {{8, 0, 0}, {4, 4, 0}, {2, 2, 4}};

/* The groups of elements. Encoding, each has an area of its own, with room for all elements and a
   vector that spills over. Decoding, they lie in a row. */
typedef struct {
    size_t start[MAX_GROUPS + 1];
} Groups;

INLINE size_t group_area(size_t n) { return n + 80; } /* elements; no power of two, so that areas do not share cache sets */

INLINE int low_planes(int low) { return low + 1; }
INLINE int plane_count(int width, int low) { return width + low; }
INLINE int plane_bits(int index, int low) { return index < low_planes(low) ? LOW_BITS[low][index] : 8; }
INLINE size_t plane_size(size_t n, int bits) { return bits == 8 ? n : bits == 4 ? (n + 1) / 2 : (n + 3) / 4; }

/* `size` bytes at `offset` of a base that may be too short: what is lacking is zero. */
INLINE const u8 *base_at(const Scheme *s, size_t offset, size_t size, u8 *room)
{
    if (LIKELY(offset + size <= s->base_size)) return s->base + offset;
    size_t have = offset < s->base_size ? s->base_size - offset : 0;
    if (have) memcpy(room, s->base + offset, have);
    memset(room + have, 0, size - have);
    return room;
}

/* FP32 bits to BF16, nearest even; NaN to 7FC0. */
INLINE u16 bf16_of(u32 f)
{
    u32 rounded = (f + 0x7FFFu + (f >> 16 & 1)) >> 16;
    return (f & 0x7FFFFFFFu) > 0x7F800000u ? (u16)0x7FC0 : (u16)rounded;
}

/* FP32 bits to FP16, nearest even; NaN to 7E00 with its sign. Below 2^-14 the addition of 0.5 does
   the rounding to units of 2^-24 (F. Giesen, "float->half variants"): it leaves them as the sum's
   low bits. FP32's own denormals come to zero even where the processor flushes them. */
INLINE u16 f16_of(u32 f)
{
    const u32 sign = f >> 16 & 0x8000u, a = f & 0x7FFFFFFFu;
    const u32 normal = (a - 0x38000000u + 0xFFFu + (a >> 13 & 1)) >> 13;
    float sum;
    u32 tiny;
    memcpy(&sum, &a, 4);
    sum += 0.5f;
    memcpy(&tiny, &sum, 4);
    tiny -= 0x3F000000u;
    u32 r = a < 0x38800000u ? tiny : normal;
    r = a >= 0x477FF000u ? 0x7C00u : r;
    r = a > 0x7F800000u ? 0x7E00u : r;
    return (u16)(sign | r);
}

/* The lowest bytes of a block, `low[n]` and zeros up to a multiple of 4, as planes of fewer bits. */
INLINE void pack_low(const u8 *RESTRICT low, size_t n, int split, u8 *const *p)
{
    u8 *RESTRICT a = p[0], *RESTRICT b = p[1];
    const u16u *pair = (const u16u *)low;
    const u32u *four = (const u32u *)low;
    if (split == 1) {
        for (size_t i = 0; i < (n + 1) / 2; i++) {
            a[i] = (u8)((pair[i] & 15) | (pair[i] >> 4 & 0xF0));
            b[i] = (u8)((pair[i] >> 4 & 15) | (pair[i] >> 8 & 0xF0));
        }
        return;
    }
    u8 *RESTRICT c = p[2];
    for (size_t i = 0; i < (n + 3) / 4; i++) {
        const u32 v = four[i], w = v >> 2;
        a[i] = (u8)((v & 3) | (v >> 6 & 0xC) | (v >> 12 & 0x30) | (v >> 18 & 0xC0));
        b[i] = (u8)((w & 3) | (w >> 6 & 0xC) | (w >> 12 & 0x30) | (w >> 18 & 0xC0));
    }
    for (size_t i = 0; i < (n + 1) / 2; i++) c[i] = (u8)((pair[i] >> 4 & 15) | (pair[i] >> 8 & 0xF0));
}

/* The other way; writes up to a multiple of 4. */
INLINE void unpack_low(u8 *RESTRICT low, size_t n, int split, u8 *const *p)
{
    const u8 *RESTRICT a = p[0], *RESTRICT b = p[1];
    u16u *pair = (u16u *)low;
    u32u *four = (u32u *)low;
    if (split == 1) {
        for (size_t i = 0; i < (n + 1) / 2; i++) {
            const unsigned v = a[i], w = b[i];
            pair[i] = (u16)((v & 15) | (v & 0xF0) << 4 | (w & 15) << 4 | (w & 0xF0) << 8);
        }
        return;
    }
    const u8 *RESTRICT c = p[2];
    for (size_t i = 0; i < (n + 3) / 4; i++) {
        const u32 v = a[i], w = b[i];
        four[i] = (v & 3) | (v & 0xC) << 6 | (v & 0x30) << 12 | (v & 0xC0) << 18 |
                  ((w & 3) | (w & 0xC) << 6 | (w & 0x30) << 12 | (w & 0xC0) << 18) << 2;
    }
    for (size_t i = 0; i < (n + 1) / 2; i++) {
        const unsigned v = c[i];
        pair[i] = (u16)(pair[i] | (v & 15) << 4 | (v & 0xF0) << 8);
    }
}

/* Keys to groups, in place. */
INLINE void groups_of(const Scheme *s, u8 *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        u8 group = 0;
        for (int k = 0; k < s->thresholds; k++) group = (u8)(group + (keys[i] >= s->threshold[k]));
        keys[i] = group;
    }
}

#include "groups.h"

/* The kernel's loops, once for each width of elements. */
#define KERNEL_BITS 8
#include "width.h"
#undef KERNEL_BITS
#define KERNEL_BITS 16
#include "width.h"
#undef KERNEL_BITS
#define KERNEL_BITS 32
#include "width.h"
#undef KERNEL_BITS
#define KERNEL_BITS 64
#include "width.h"
#undef KERNEL_BITS

#endif
