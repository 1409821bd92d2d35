/* Putting elements into four groups, and taking them out again, eight at a time with AVX2: a
   table tells for each set of lanes how to shuffle them together, or apart (D. Lemire's and
   others' "left packing"). width.h has the plain loops, which give the same. */
#ifndef MVC_GROUPS_H
#define MVC_GROUPS_H

#if HAVE_AVX2

static u8 PACK_LANES[256][8];   /* lanes of the set, ascending; then 0x80 */
static u8 PLACE_LANES[256][8];  /* for each lane, how many of the set are below; 0x80 if it is not in */
static u8 PACK_PAIRS[256][16] __attribute__((aligned(64))); /* the same for lanes of two bytes */
static u8 PLACE_PAIRS[256][16];

static void groups_setup(void)
{
    memset(PACK_LANES, 0x80, sizeof PACK_LANES);
    memset(PLACE_LANES, 0x80, sizeof PLACE_LANES);
    for (int set = 0; set < 256; set++) {
        int n = 0;
        for (int lane = 0; lane < 8; lane++)
            if (set >> lane & 1) {
                PLACE_LANES[set][lane] = (u8)n;
                PACK_LANES[set][n++] = (u8)lane;
            }
        for (int i = 0; i < 8; i++) {
            int p = PACK_LANES[set][i], q = PLACE_LANES[set][i];
            PACK_PAIRS[set][2 * i] = (u8)(p & 0x80 ? 0x80 : 2 * p);
            PACK_PAIRS[set][2 * i + 1] = (u8)(p & 0x80 ? 0x80 : 2 * p + 1);
            PLACE_PAIRS[set][2 * i] = (u8)(q & 0x80 ? 0x80 : 2 * q);
            PLACE_PAIRS[set][2 * i + 1] = (u8)(q & 0x80 ? 0x80 : 2 * q + 1);
        }
    }
}

/* Sixteen keys to the sets of lanes, of the groups 0..3, sixteen bits each. */
AVX2 static inline void sets_of(const u8 *keys, __m128i t0, __m128i t1, __m128i t2, unsigned *set)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)keys);
    const unsigned a = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(v, t0), v));
    const unsigned b = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(v, t1), v));
    const unsigned c = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(v, t2), v));
    set[0] = a ^ 0xFFFF;
    set[1] = a ^ b;
    set[2] = b ^ c;
    set[3] = c;
}

AVX2 static inline void left_8(uint8_t *to, const uint8_t *z, unsigned set)
{
    _mm_storel_epi64((__m128i *)to, _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)z), _mm_loadl_epi64((const __m128i *)PACK_LANES[set])));
}

AVX2 static inline void left_16(uint16_t *to, const uint16_t *z, unsigned set)
{
    _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)z), _mm_loadu_si128((const __m128i *)PACK_PAIRS[set])));
}

AVX2 static inline void left_32(uint32_t *to, const uint32_t *z, unsigned set)
{
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)PACK_LANES[set]));
    _mm256_storeu_si256((__m256i *)to, _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)z), lanes));
}

AVX2 static inline __m128i place_8(__m128i sum, const uint8_t *from, unsigned set)
{
    return _mm_or_si128(sum, _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)from), _mm_loadl_epi64((const __m128i *)PLACE_LANES[set])));
}

AVX2 static inline __m128i place_16(__m128i sum, const uint16_t *from, unsigned set)
{
    return _mm_or_si128(sum, _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)from), _mm_loadu_si128((const __m128i *)PLACE_PAIRS[set])));
}

AVX2 static inline __m256i place_32(__m256i sum, const uint32_t *from, unsigned set)
{
    /* lanes that are not of the set have the high bit: blendv takes them from `sum` */
    __m256i lanes = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)PLACE_LANES[set]));
    __m256i v = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)from), lanes);
    return _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(v), _mm256_castsi256_ps(sum), _mm256_castsi256_ps(lanes)));
}

AVX2 static inline __m128i zero_8(void) { return _mm_setzero_si128(); }
AVX2 static inline __m128i zero_16(void) { return _mm_setzero_si128(); }
AVX2 static inline __m256i zero_32(void) { return _mm256_setzero_si256(); }
AVX2 static inline void store_8(uint8_t *z, __m128i v) { _mm_storel_epi64((__m128i *)z, v); }
AVX2 static inline void store_16(uint16_t *z, __m128i v) { _mm_storeu_si128((__m128i *)z, v); }
AVX2 static inline void store_32(uint32_t *z, __m256i v) { _mm256_storeu_si256((__m256i *)z, v); }

#define GROUP_SETUP                                                                                                   \
    const __m128i t0 = _mm_set1_epi8((char)s->threshold[0]), t1 = _mm_set1_epi8((char)s->threshold[1]),               \
                  t2 = _mm_set1_epi8((char)s->threshold[2])
#define LEFT(bits, g, z, set) left_##bits(g, z, set), g += _mm_popcnt_u32(set)
#define PLACE(bits, v, g, set) v = place_##bits(v, g, set), g += _mm_popcnt_u32(set)

/* `spread`: values to their groups; `collect`: back. Both do n / 16 * 16 elements, and tell so. */
#define GROUP_LOOPS(bits, type, vector)                                                                               \
    AVX2 static size_t spread_##bits(const type *z, const u8 *keys, size_t n, const Scheme *s, type *out, size_t *to) \
    {                                                                                                                 \
        GROUP_SETUP;                                                                                                  \
        type *g0 = out + to[0], *g1 = out + to[1], *g2 = out + to[2], *g3 = out + to[3];                              \
        for (size_t i = 0; i + 16 <= n; i += 16) {                                                                    \
            unsigned set[4];                                                                                          \
            sets_of(keys + i, t0, t1, t2, set);                                                                       \
            LEFT(bits, g0, z + i, set[0] & 255), LEFT(bits, g1, z + i, set[1] & 255);                                 \
            LEFT(bits, g2, z + i, set[2] & 255), LEFT(bits, g3, z + i, set[3] & 255);                                 \
            LEFT(bits, g0, z + i + 8, set[0] >> 8), LEFT(bits, g1, z + i + 8, set[1] >> 8);                           \
            LEFT(bits, g2, z + i + 8, set[2] >> 8), LEFT(bits, g3, z + i + 8, set[3] >> 8);                           \
        }                                                                                                             \
        to[0] = (size_t)(g0 - out), to[1] = (size_t)(g1 - out), to[2] = (size_t)(g2 - out), to[3] = (size_t)(g3 - out);\
        return n & ~(size_t)15;                                                                                       \
    }                                                                                                                 \
    AVX2 static size_t collect_##bits(type *z, const u8 *keys, size_t n, const Scheme *s, const type *in, size_t *from)\
    {                                                                                                                 \
        GROUP_SETUP;                                                                                                  \
        const type *g0 = in + from[0], *g1 = in + from[1], *g2 = in + from[2], *g3 = in + from[3];                    \
        for (size_t i = 0; i + 16 <= n; i += 16) {                                                                    \
            unsigned set[4];                                                                                          \
            sets_of(keys + i, t0, t1, t2, set);                                                                       \
            vector v = zero_##bits(), w = zero_##bits();                                                              \
            PLACE(bits, v, g0, set[0] & 255), PLACE(bits, v, g1, set[1] & 255);                                       \
            PLACE(bits, v, g2, set[2] & 255), PLACE(bits, v, g3, set[3] & 255);                                       \
            PLACE(bits, w, g0, set[0] >> 8), PLACE(bits, w, g1, set[1] >> 8);                                         \
            PLACE(bits, w, g2, set[2] >> 8), PLACE(bits, w, g3, set[3] >> 8);                                         \
            store_##bits(z + i, v), store_##bits(z + i + 8, w);                                                       \
        }                                                                                                             \
        from[0] = (size_t)(g0 - in), from[1] = (size_t)(g1 - in), from[2] = (size_t)(g2 - in), from[3] = (size_t)(g3 - in);\
        return n & ~(size_t)15;                                                                                       \
    }

GROUP_LOOPS(8, uint8_t, __m128i)
GROUP_LOOPS(16, uint16_t, __m128i)
GROUP_LOOPS(32, uint32_t, __m256i)

/* width.h's `differ`, its `make_keys` for a shift by one, and `spread`, at once. The four sets of eight
   lanes come from two masks, moved up by four bits: so each is its shuffle's offset in the table. */
AVX2 static size_t spread_differences(const void *x, const void *b, size_t n, const Scheme *s, uint16_t *out, size_t *to)
{
    const __m256i t0 = _mm256_set1_epi16(s->threshold[0]), t1 = _mm256_set1_epi16(s->threshold[1]), t2 = _mm256_set1_epi16(s->threshold[2]);
    const u8 *table = PACK_PAIRS[0];
    uint16_t *g0 = out + to[0], *g1 = out + to[1], *g2 = out + to[2], *g3 = out + to[3];
#define LEFT_PART(g, part, bits, at)                                                                             \
    do {                                                                                                         \
        const u64 set = bits >> at & 0xFF0;                                                                      \
        _mm_storeu_si128((__m128i *)g, _mm_shuffle_epi8(part, _mm_load_si128((const __m128i *)(table + set))));  \
        g += _mm_popcnt_u64(set);                                                                                \
    } while (0)
    for (size_t i = 0; i + 16 <= n; i += 16) {
        const __m256i p = _mm256_loadu_si256((const __m256i *)((const u8 *)b + 2 * i));
        const __m256i d = _mm256_sub_epi16(_mm256_loadu_si256((const __m256i *)((const u8 *)x + 2 * i)), p);
        const __m256i z = _mm256_xor_si256(_mm256_add_epi16(d, d), _mm256_srai_epi16(d, 15));
        const __m256i key = _mm256_srli_epi16(_mm256_add_epi16(p, p), 8);
        const __m256i below0 = _mm256_cmpgt_epi16(t0, key), below1 = _mm256_cmpgt_epi16(t1, key), below2 = _mm256_cmpgt_epi16(t2, key);
        const __m256i two = _mm256_packs_epi16(below0, _mm256_xor_si256(below0, below1));
        const __m256i four = _mm256_packs_epi16(_mm256_xor_si256(below1, below2), below2);
        const u64 a = (u64)(u32)_mm256_movemask_epi8(two) << 4, c = (u64)((u32)_mm256_movemask_epi8(four) ^ 0xFF00FF00u) << 4;
        const __m128i low = _mm256_castsi256_si128(z), high = _mm256_extracti128_si256(z, 1);
        LEFT_PART(g0, low, a, 0);
        LEFT_PART(g1, low, a, 8);
        LEFT_PART(g2, low, c, 0);
        LEFT_PART(g3, low, c, 8);
        LEFT_PART(g0, high, a, 16);
        LEFT_PART(g1, high, a, 24);
        LEFT_PART(g2, high, c, 16);
        LEFT_PART(g3, high, c, 24);
    }
#undef LEFT_PART
    to[0] = (size_t)(g0 - out), to[1] = (size_t)(g1 - out), to[2] = (size_t)(g2 - out), to[3] = (size_t)(g3 - out);
    return n & ~(size_t)15;
}

/* Bytes of at most 4 bits, two to a byte: 64 of them, `a` and `b`, to 32. (By shifts: after a
   multiplication some processors run slower for a while.) */
AVX2 static inline __m256i join_nibbles(__m256i a, __m256i b)
{
    const __m256i bytes = _mm256_set1_epi16(255);
    a = _mm256_and_si256(_mm256_or_si256(a, _mm256_srli_epi16(a, 4)), bytes);
    b = _mm256_and_si256(_mm256_or_si256(b, _mm256_srli_epi16(b, 4)), bytes);
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8);
}

/* Bytes of at most 2 bits, two to 4 bits: 64 of them to 32. */
AVX2 static inline __m256i join_crumbs(__m256i a, __m256i b)
{
    const __m256i nibbles = _mm256_set1_epi16(15);
    a = _mm256_and_si256(_mm256_or_si256(a, _mm256_srli_epi16(a, 6)), nibbles);
    b = _mm256_and_si256(_mm256_or_si256(b, _mm256_srli_epi16(b, 6)), nibbles);
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8);
}

/* A whole block of elements of two bytes to planes, as width.h's `pack` does it. */
AVX2 static void pack_wide(const uint16_t *z, int low, u8 *const *at)
{
    const __m256i bytes = _mm256_set1_epi16(255), nibbles = _mm256_set1_epi8(15), crumbs = _mm256_set1_epi8(3);
    u8 *p0 = at[0], *p1 = at[1], *p2 = at[low > 1 ? 2 : 0], *high = at[low_planes(low)];
    for (size_t i = 0; i < BLOCK; i += 128) {
        __m256i v[4];
        for (int k = 0; k < 4; k++) {
            const __m256i a = _mm256_loadu_si256((const __m256i *)(z + i + 32 * k)), b = _mm256_loadu_si256((const __m256i *)(z + i + 32 * k + 16));
            const __m256i top = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
            v[k] = _mm256_permute4x64_epi64(_mm256_packus_epi16(_mm256_and_si256(a, bytes), _mm256_and_si256(b, bytes)), 0xD8);
            _mm256_storeu_si256((__m256i *)(high + i + 32 * k), _mm256_permute4x64_epi64(top, 0xD8));
        }
        if (!low) {
            for (int k = 0; k < 4; k++) _mm256_storeu_si256((__m256i *)(p0 + i + 32 * k), v[k]);
            continue;
        }
        __m256i h[4]; /* the higher four bits of each */
        for (int k = 0; k < 4; k++) h[k] = _mm256_and_si256(_mm256_srli_epi16(v[k], 4), nibbles);
        u8 *top = low > 1 ? p2 : p1;
        _mm256_storeu_si256((__m256i *)(top + i / 2), join_nibbles(h[0], h[1]));
        _mm256_storeu_si256((__m256i *)(top + i / 2 + 32), join_nibbles(h[2], h[3]));
        if (low == 1) {
            for (int k = 0; k < 4; k++) v[k] = _mm256_and_si256(v[k], nibbles);
            _mm256_storeu_si256((__m256i *)(p0 + i / 2), join_nibbles(v[0], v[1]));
            _mm256_storeu_si256((__m256i *)(p0 + i / 2 + 32), join_nibbles(v[2], v[3]));
            continue;
        }
        for (int k = 0; k < 4; k++) h[k] = _mm256_and_si256(_mm256_srli_epi16(v[k], 2), crumbs), v[k] = _mm256_and_si256(v[k], crumbs);
        _mm256_storeu_si256((__m256i *)(p0 + i / 4), join_nibbles(join_crumbs(v[0], v[1]), join_crumbs(v[2], v[3])));
        _mm256_storeu_si256((__m256i *)(p1 + i / 4), join_nibbles(join_crumbs(h[0], h[1]), join_crumbs(h[2], h[3])));
    }
}

#else
static void groups_setup(void) {}
#endif

#endif
