/* Included by planes.h once for each width: the loops over elements of KERNEL_BITS bits. */

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(x) JOIN(JOIN(x, _), KERNEL_BITS)
#define T JOIN(JOIN(uint, KERNEL_BITS), _t)
#define S JOIN(JOIN(int, KERNEL_BITS), _t)
#define WIDTH (KERNEL_BITS / 8)

typedef T NAME(Element)
#if defined(__GNUC__) || defined(__clang__)
    __attribute__((aligned(1), may_alias))
#endif
    ;
#define TU NAME(Element)

/* The prediction of `n` elements from element `at` of the base; `room` is where it may be made. */
INLINE const TU *NAME(predict)(const Scheme *s, size_t at, size_t n, T *room, u8 *fp32)
{
#if KERNEL_BITS == 16
    if (s->transform == CAST_BF16 || s->transform == CAST_F16) {
        const u32u *f = (const u32u *)base_at(s, at * 4, n * 4, fp32);
        if (s->transform == CAST_BF16)
            for (size_t i = 0; i < n; i++) room[i] = bf16_of(f[i]);
        else
            for (size_t i = 0; i < n; i++) room[i] = f16_of(f[i]);
        return (const TU *)room;
    }
#else
    (void)fp32;
#endif
    return (const TU *)base_at(s, at * WIDTH, n * WIDTH, (u8 *)room);
}

/* Zigzag of the difference: small changes up or down become small numbers. */
INLINE void NAME(differ)(const TU *x, const TU *b, size_t n, T *z)
{
    for (size_t i = 0; i < n; i++) {
        T d = (T)(x[i] - b[i]);
        z[i] = (T)((T)(d << 1) ^ (T)((S)d >> (KERNEL_BITS - 1)));
    }
}

INLINE void NAME(undo)(const T *z, const TU *b, size_t n, TU *x)
{
    for (size_t i = 0; i < n; i++) x[i] = (T)(b[i] + (T)((T)(z[i] >> 1) ^ (T)(0 - (T)(z[i] & 1))));
}

/* Elements to the values that are stored. */
INLINE void NAME(forward)(const Scheme *s, const u8 *raw, size_t at, size_t n, T *z, T *room, u8 *fp32)
{
    const TU *x = (const TU *)(raw + at * WIDTH);
    if (s->transform == PLAIN) {
        memcpy(z, x, n * WIDTH);
    } else if (s->transform == ROTATE) {
        for (size_t i = 0; i < n; i++) z[i] = (T)((T)(x[i] << 1) | (T)(x[i] >> (KERNEL_BITS - 1)));
    } else {
        NAME(differ)(x, NAME(predict)(s, at, n, room, fp32), n, z);
    }
}

/* Stored values to elements. */
INLINE void NAME(backward)(const Scheme *s, const T *z, size_t at, size_t n, u8 *raw, T *room, u8 *fp32)
{
    TU *x = (TU *)(raw + at * WIDTH);
    if (s->transform == PLAIN) {
        memcpy(x, z, n * WIDTH);
    } else if (s->transform == ROTATE) {
        for (size_t i = 0; i < n; i++) x[i] = (T)((T)(z[i] >> 1) | (T)(z[i] << (KERNEL_BITS - 1)));
    } else {
        NAME(undo)(z, NAME(predict)(s, at, n, room, fp32), n, x);
    }
}

/* A block's values to planes, of which it watches whether they stay constant. */
INLINE void NAME(pack)(const Scheme *s, const T *z, size_t n, Planes *planes)
{
    const int lows = low_planes(s->low);
    int done = 0;
#if HAVE_AVX2 && KERNEL_BITS == 16
    if (n == BLOCK && has_avx2()) pack_wide(z, s->low, planes->at), done = 1;
#endif
    if (done) {
    } else if (s->low) {
        u8 low[BLOCK + 4];
        for (size_t i = 0; i < n; i++) low[i] = (u8)z[i];
        memset(low + n, 0, 4);
        pack_low(low, n, s->low, planes->at);
    } else {
        u8 *p = planes->at[0];
        for (size_t i = 0; i < n; i++) p[i] = (u8)z[i];
    }
    for (int k = 1; k < WIDTH && !done; k++) {
        u8 *p = planes->at[lows + k - 1];
        for (size_t i = 0; i < n; i++) p[i] = (u8)(z[i] >> (8 * k % KERNEL_BITS));
    }
    for (int k = 0; k < lows + WIDTH - 1; k++) {
        size_t size = plane_size(n, plane_bits(k, s->low));
        const u8 *p = planes->at[k];
        if (planes->constant[k]) {
            u8 acc = 0, first = planes->constant[k] < 0 ? p[0] : planes->value[k];
            for (size_t i = 0; i < size; i++) acc |= (u8)(p[i] ^ first);
            planes->value[k] = first;
            planes->constant[k] = acc == 0;
        }
        planes->at[k] += size;
    }
}

/* A block's values from planes. A constant plane points to a block of its value, and stays there. */
INLINE void NAME(unpack)(const Scheme *s, T *z, size_t n, Planes *planes)
{
    const int lows = low_planes(s->low);
    u8 room[BLOCK + 4];
    const u8 *low = planes->at[0];
    if (s->low) {
        unpack_low(room, n, s->low, planes->at);
        low = room;
    }
#if KERNEL_BITS == 8
    memcpy(z, low, n);
#else
    const u8 *const *p = (const u8 *const *)planes->at + lows;
#if KERNEL_BITS == 16
    const u8 *p0 = p[0];
    for (size_t i = 0; i < n; i++) z[i] = (T)(low[i] | (T)p0[i] << 8);
#elif KERNEL_BITS == 32
    const u8 *p0 = p[0], *p1 = p[1], *p2 = p[2];
    for (size_t i = 0; i < n; i++) z[i] = low[i] | (T)p0[i] << 8 | (T)p1[i] << 16 | (T)p2[i] << 24;
#else
    for (size_t i = 0; i < n; i++) z[i] = low[i];
    for (int k = 1; k < WIDTH; k++) {
        const u8 *q = p[k - 1];
        for (size_t i = 0; i < n; i++) z[i] |= (T)q[i] << 8 * k;
    }
#endif
#endif
    for (int k = 0; k < lows + WIDTH - 1; k++)
        if (planes->constant[k] < 0) planes->at[k] += plane_size(n, plane_bits(k, s->low));
}

/* The keys of `n` predicted elements. A shift by one, the usual case, compilers do in lanes of T. */
INLINE void NAME(make_keys)(const Scheme *s, const TU *b, size_t n, u8 *keys)
{
    const int shift = s->key_shift;
    if (shift == 1)
        for (size_t i = 0; i < n; i++) keys[i] = (u8)((T)(b[i] + b[i]) >> (KERNEL_BITS - 8));
    else
        for (size_t i = 0; i < n; i++) keys[i] = (u8)((T)(b[i] << shift) >> (KERNEL_BITS - 8));
}

/* The keys of all elements. */
static void NAME(keys_of)(const Scheme *s, u8 *keys)
{
    T room[BLOCK];
    u8 fp32[KERNEL_BITS == 16 ? BLOCK * 4 : 1];
    for (size_t at = 0; at < s->n; at += BLOCK) {
        size_t n = s->n - at < BLOCK ? s->n - at : BLOCK;
        NAME(make_keys)(s, NAME(predict)(s, at, n, room, fp32), n, keys + at);
    }
}

/* A block from the areas of the groups: where it lies there, or what is gathered of it in `z`. */
INLINE const T *NAME(from_groups)(const Groups *g, const T *areas, size_t area, size_t at, size_t n, T *z)
{
    T *to = z;
    for (int k = 0; n; k++) {
        if (at >= g->start[k + 1]) continue;
        const size_t have = g->start[k + 1] - at < n ? g->start[k + 1] - at : n;
        const T *from = areas + (size_t)k * area + (at - g->start[k]);
        if (have == n && to == z) return from;
        memcpy(to, from, have * sizeof(T));
        to += have, at += have, n -= have;
    }
    return z;
}

/* Raw bytes to planes, and where the groups begin. `room_for_groups`: an area a group, if there are groups. */
CLONES static void NAME(split)(const Scheme *s, const u8 *raw, Planes *planes, u8 *room_for_groups, Groups *g)
{
    T z[BLOCK + 16], room[BLOCK];
    u8 fp32[KERNEL_BITS == 16 ? BLOCK * 4 : 1], keys[BLOCK];
    if (!s->thresholds) {
        for (size_t at = 0; at < s->n; at += BLOCK) {
            size_t n = s->n - at < BLOCK ? s->n - at : BLOCK;
            NAME(forward)(s, raw, at, n, z, room, fp32);
            NAME(pack)(s, z, n, planes);
        }
        g->start[0] = 0, g->start[1] = s->n;
        return;
    }
    T *areas = (T *)room_for_groups;
    const size_t area = group_area(s->n);
    size_t to[MAX_GROUPS];
    for (int k = 0; k <= s->thresholds; k++) to[k] = (size_t)k * area;
    for (size_t at = 0; at < s->n; at += BLOCK) {
        size_t n = s->n - at < BLOCK ? s->n - at : BLOCK, done = 0;
        const TU *x = (const TU *)(raw + at * WIDTH), *b = NAME(predict)(s, at, n, room, fp32);
#if HAVE_AVX2 && KERNEL_BITS == 16
        if (s->thresholds == 3 && s->key_shift == 1 && has_avx2()) done = spread_differences(x, b, n, s, areas, to);
#endif
        NAME(differ)(x + done, b + done, n - done, z + done);
        NAME(make_keys)(s, b + done, n - done, keys + done);
#if HAVE_AVX2 && KERNEL_BITS < 64
        if (!done && s->thresholds == 3 && has_avx2()) done = NAME(spread)(z, keys, n, s, areas, to);
#endif
        groups_of(s, keys + done, n - done);
        for (size_t i = done; i < n; i++) areas[to[keys[i]]++] = z[i];
    }
    g->start[0] = 0;
    for (int k = 0; k <= s->thresholds; k++) g->start[k + 1] = g->start[k] + to[k] - (size_t)k * area;
    for (size_t at = 0; at < s->n; at += BLOCK) {
        size_t n = s->n - at < BLOCK ? s->n - at : BLOCK;
        NAME(pack)(s, NAME(from_groups)(g, areas, area, at, n, z), n, planes);
    }
}

/* Planes to raw bytes; 0 if the groups are not where `g` says. `row` has room for 2 n + 16 elements:
   a start that lies may lead a group's reading past the end of the row, by n at the most. */
CLONES static int NAME(join)(const Scheme *s, u8 *raw, Planes *planes, u8 *room_for_row, const Groups *g)
{
    T z[BLOCK + 16], room[BLOCK];
    u8 fp32[KERNEL_BITS == 16 ? BLOCK * 4 : 1], keys[BLOCK];
    if (!s->thresholds) {
        for (size_t at = 0; at < s->n; at += BLOCK) {
            size_t n = s->n - at < BLOCK ? s->n - at : BLOCK;
            NAME(unpack)(s, z, n, planes);
            NAME(backward)(s, z, at, n, raw, room, fp32);
        }
        return 1;
    }
    T *row = (T *)room_for_row;
    size_t from[MAX_GROUPS];
    memcpy(from, g->start, sizeof from);
    for (size_t at = 0; at < s->n; at += BLOCK) NAME(unpack)(s, row + at, s->n - at < BLOCK ? s->n - at : BLOCK, planes);
    for (size_t at = 0; at < s->n; at += BLOCK) {
        size_t n = s->n - at < BLOCK ? s->n - at : BLOCK, done = 0;
        const TU *b = NAME(predict)(s, at, n, room, fp32);
        NAME(make_keys)(s, b, n, keys);
#if HAVE_AVX2 && KERNEL_BITS < 64
        if (s->thresholds == 3 && has_avx2()) done = NAME(collect)(z, keys, n, s, row, from);
#endif
        groups_of(s, keys + done, n - done);
        for (size_t i = done; i < n; i++) z[i] = row[from[keys[i]]++];
        NAME(undo)(z, b, n, (TU *)(raw + at * WIDTH));
    }
    for (int k = 0; k <= s->thresholds; k++)
        if (from[k] != g->start[k + 1]) return 0;
    return 1;
}

#undef JOIN_
#undef JOIN
#undef NAME
#undef T
#undef S
#undef TU
#undef WIDTH
