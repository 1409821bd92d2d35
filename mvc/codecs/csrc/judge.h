/* What planes would cost, from a sample: in 1/4096 bits and integers alone, so that numpy comes
   to the same figures and the same choices are made with and without the kernel. */
#ifndef MVC_JUDGE_H
#define MVC_JUDGE_H

#include "frame.h"
#include "planes.h"

#define JUDGE_MAX 16384          /* bytes of one plane of a sample */
#define JUDGE_ONE 4096           /* one bit */
#define JUDGE_RUN (20 * JUDGE_ONE)  /* what a run costs */
#define JUDGE_SYMBOL 2955        /* the entropy of a sample is too low by 0.72 bits a symbol (Miller 1955) */

static u32 JUDGE_LOG2[JUDGE_MAX + 1];

static void judge_setup(void)
{
    JUDGE_LOG2[0] = 0;
    for (int i = 1; i <= JUDGE_MAX; i++) JUDGE_LOG2[i] = (u32)floor(log2(i) * JUDGE_ONE + 0.5);
}

/* The cost of `n` bytes under one Huffman code; runs of 16 equal aligned bytes count apart. */
static u64 judge_bytes(const u8 *p, size_t n, FrameWork *work)
{
    u32 count[256], total = 0, most = 0, kinds = 0;
    u64 cost = 0;
    int in_run = -1;
    frame_histogram(p, n, work, count);
    for (size_t i = 0; i + 16 <= n; i += 16) {
        int run = same_16(p + i) ? p[i] : -1;
        if (run >= 0) {
            count[run] -= 16;
            if (run != in_run) cost += JUDGE_RUN;
        }
        in_run = run;
    }
    int top = 0;
    for (int s = 0; s < 256; s++) {
        total += count[s];
        kinds += count[s] > 0;
        if (count[s] > most) most = count[s], top = s;
    }
    if (kinds > 1) cost += (u64)(kinds - 1) * JUDGE_SYMBOL;
    /* a symbol that is more than half of all still takes a whole bit */
    const int heavy = 2 * (u64)most > total;
    const u32 whole = JUDGE_LOG2[heavy ? total - most : total];
    if (heavy) cost += (u64)total * JUDGE_ONE;
    for (int s = 0; s < 256; s++)
        if (count[s] && !(heavy && s == top)) cost += (u64)count[s] * (whole - JUDGE_LOG2[count[s]]);
    return cost;
}

/* The same for a plane of `bits` bits an element, in parts with codes of their own that begin at
   the elements start[0..parts]; no more than stored raw, and 0 if constant. */
static u64 judge_plane(const u8 *p, int bits, const size_t *start, int parts, FrameWork *work)
{
    const size_t n = plane_size(start[parts], bits);
    u64 cost = 0;
    u8 acc = 0;
    for (size_t i = 0; i < n; i++) acc |= (u8)(p[i] ^ p[0]);
    if (!acc) return 0;
    for (int k = 0; k < parts; k++) {
        const size_t from = plane_size(start[k], bits), to = plane_size(start[k + 1], bits);
        if (to > from) cost += judge_bytes(p + from, to - from, work);
    }
    return cost < (u64)n * 8 * JUDGE_ONE ? cost : (u64)n * 8 * JUDGE_ONE;
}

#endif
