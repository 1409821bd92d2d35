/* What differs between compilers, in one place. The kernel is for little-endian machines;
   elsewhere it does not build, and the numpy path is taken. */
#ifndef MVC_PORTABLE_H
#define MVC_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernel needs a little-endian machine"
#endif

/* One build serves old and new processors: glibc picks the clone at load time. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(MVC_NO_CLONES)
#define CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* Hand-written AVX2, chosen at run time. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(MVC_NO_AVX2)
#include <immintrin.h>
#define HAVE_AVX2 1
#define AVX2 __attribute__((target("avx2,popcnt")))
#else
#define HAVE_AVX2 0
#endif

#if HAVE_AVX2
static int AVX2_HERE;
static inline int has_avx2(void) { return AVX2_HERE; }
static void avx2_setup(void) { AVX2_HERE = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }
#else
static void avx2_setup(void) {}
#endif

#if defined(__GNUC__) || defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define UNALIGNED(type, name) typedef type __attribute__((aligned(1), may_alias)) name
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define RESTRICT __restrict__
#define HIGHBIT32(x) (31u - (unsigned)__builtin_clz(x))
#else
#define INLINE static __forceinline
#define UNALIGNED(type, name) typedef type __unaligned name
#define LIKELY(x) (x)
#define RESTRICT __restrict
#include <intrin.h>
static __forceinline unsigned HIGHBIT32(uint32_t x) { unsigned long i; _BitScanReverse(&i, x); return (unsigned)i; }
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
UNALIGNED(uint16_t, u16u);
UNALIGNED(uint32_t, u32u);
UNALIGNED(uint64_t, u64u);

INLINE u64 load64(const u8 *p) { u64 v; memcpy(&v, p, 8); return v; }
INLINE unsigned load16(const u8 *p) { u16 v; memcpy(&v, p, 2); return v; }
INLINE u32 load32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }
INLINE void store64(u8 *p, u64 v) { memcpy(p, &v, 8); }
INLINE void store16(u8 *p, unsigned v) { p[0] = (u8)v; p[1] = (u8)(v >> 8); }
INLINE void store24(u8 *p, unsigned v) { store16(p, v); p[2] = (u8)(v >> 16); }
INLINE void store32(u8 *p, u32 v) { memcpy(p, &v, 4); }

#endif
