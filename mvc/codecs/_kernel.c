/* mvc.codecs._kernel: the loops of the codecs in C, optional. mvc/codecs/portable.py does the
   same with numpy, and is what this is tested against. Every function works on its callers'
   buffers and lets go of the GIL. Only the limited API of Python is used, so one build serves
   all versions from 3.11. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "csrc/frame.h"
#include "csrc/judge.h"
#include "csrc/planes.h"
#include "csrc/stats.h"

static void split_any(const Scheme *s, const u8 *raw, Planes *p, u8 *room, Groups *g)
{
    switch (s->width) {
    case 1: split_8(s, raw, p, room, g); break;
    case 2: split_16(s, raw, p, room, g); break;
    case 4: split_32(s, raw, p, room, g); break;
    default: split_64(s, raw, p, room, g); break;
    }
}

static int join_any(const Scheme *s, u8 *raw, Planes *p, u8 *room, const Groups *g)
{
    switch (s->width) {
    case 1: return join_8(s, raw, p, room, g);
    case 2: return join_16(s, raw, p, room, g);
    case 4: return join_32(s, raw, p, room, g);
    default: return join_64(s, raw, p, room, g);
    }
}

/* Fills a scheme from arguments; raises ValueError for one that makes no sense. */
static int scheme_of(Scheme *s, int transform, int width, int low, const Py_buffer *order, Py_ssize_t size, const Py_buffer *base)
{
    const u8 *o = (const u8 *)order->buf;
    int ok = (width == 1 || width == 2 || width == 4 || width == 8) && transform >= PLAIN && transform <= CAST_F16 &&
             low >= 0 && low <= 2 && (transform < CAST_BF16 || width == 2) && size >= 0 && (u64)size < (u64)1 << 32 &&
             order->len <= MAX_GROUPS && order->len != 1 && (!order->len || transform >= DELTA);
    if (ok) ok = size % width == 0 && (!order->len || o[0] < 8 * width);
    for (Py_ssize_t i = 1; ok && i < order->len; i++) ok = o[i] > (i > 1 ? o[i - 1] : 0);
    if (!ok) {
        PyErr_SetString(PyExc_ValueError, "no such scheme");
        return 0;
    }
    s->transform = transform;
    s->width = width;
    s->low = low;
    s->thresholds = order->len ? (int)order->len - 1 : 0;
    s->key_shift = order->len ? o[0] : 0;
    for (int i = 0; i < s->thresholds; i++) s->threshold[i] = o[i + 1];
    s->n = (size_t)(size / width);
    s->base = (const u8 *)base->buf;
    s->base_size = base->buf ? (size_t)base->len : 0;
    return 1;
}

static size_t group_room(const Scheme *s) /* for encoding; decoding needs less */
{
    return s->thresholds ? (size_t)(s->thresholds + 1) * group_area(s->n) * (size_t)s->width : 0;
}

static size_t scratch_needed(const Scheme *s)
{
    return s->n * (size_t)s->width + group_room(s) + 256 * MAX_PLANES;
}

/* The end of a scratch buffer is the table of pairs, kept from call to call; the rest is free in each. */
static Pairs *pairs_of(const Py_buffer *scratch)
{
    return (Pairs *)(((uintptr_t)scratch->buf + (size_t)scratch->len - sizeof(Pairs)) & ~(uintptr_t)63);
}

static size_t scratch_free(const Py_buffer *scratch)
{
    const size_t size = (size_t)scratch->len;
    return size < sizeof(Pairs) + 64 ? 0 : size - sizeof(Pairs) - 64;
}

/* 64 bytes aligned room inside a scratch buffer. */
static u8 *take(u8 **scratch, size_t size)
{
    u8 *p = (u8 *)(((uintptr_t)*scratch + 63) & ~(uintptr_t)63);
    *scratch = p + size;
    return p;
}

static PyObject *plane_item(int mode, PyObject *value) /* steals `value` */
{
    return value ? Py_BuildValue("(iN)", mode, value) : NULL;
}

static PyObject *kernel_encode(PyObject *module, PyObject *args)
{
    Py_buffer raw, base = {0}, order, hints, scratch;
    int transform, width, low;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*z*iiiy*y*w*", &raw, &base, &transform, &width, &low, &order, &hints, &scratch))
        return NULL;
    Scheme s;
    PyObject *owned[MAX_PLANES] = {0};
    size_t sizes[MAX_PLANES], packed[MAX_PLANES] = {0};
    u8 *at[MAX_PLANES], *out[MAX_PLANES];
    Planes planes;
    if (!scheme_of(&s, transform, width, low, &order, raw.len, &base)) goto done;
    const int count = plane_count(width, low);
    const size_t room = scratch_needed(&s), largest = FRAME_ROOM(s.n);
    if (hints.len != count || scratch_free(&scratch) < room + (size_t)raw.len + largest + sizeof(FrameWork) + 1024) {
        PyErr_SetString(PyExc_ValueError, "hints or scratch of the wrong size");
        goto done;
    }
    u8 *free_at = (u8 *)scratch.buf;
    for (int k = 0; k < count; k++) {
        sizes[k] = plane_size(s.n, plane_bits(k, low));
        if (((const u8 *)hints.buf)[k]) {
            at[k] = take(&free_at, sizes[k]);
        } else {
            owned[k] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sizes[k]);
            if (!owned[k]) goto done;
            at[k] = (u8 *)PyBytes_AsString(owned[k]);
        }
        planes.at[k] = at[k];
        planes.constant[k] = -1;
    }
    u8 *group_areas = take(&free_at, group_room(&s));
    Groups groups;

    Py_BEGIN_ALLOW_THREADS
    FrameWork *work = (FrameWork *)take(&free_at, sizeof(FrameWork));
    split_any(&s, (const u8 *)raw.buf, &planes, group_areas, &groups);
    u8 *to = take(&free_at, 0);
    for (int k = 0; k < count; k++) {
        if (owned[k] || planes.constant[k] || !s.n) continue;
        size_t size = frame_write(at[k], sizes[k], work, pairs_of(&scratch), to);
        if (size + sizes[k] / 256 >= sizes[k]) continue; /* not worth a reader's time */
        packed[k] = size;
        out[k] = to;
        to += size;
    }
    Py_END_ALLOW_THREADS

    u32 starts[MAX_GROUPS];
    for (int k = 0; k < s.thresholds; k++) starts[k] = (u32)groups.start[k + 1];
    PyObject *list = PyList_New(count);
    for (int k = 0; list && k < count; k++) {
        PyObject *item;
        if (planes.constant[k] && s.n)
            item = plane_item(0, PyLong_FromLong(planes.value[k]));
        else if (packed[k])
            item = plane_item(2, PyBytes_FromStringAndSize((const char *)out[k], (Py_ssize_t)packed[k]));
        else if (owned[k])
            Py_INCREF(owned[k]), item = plane_item(1, owned[k]);
        else
            item = plane_item(1, PyBytes_FromStringAndSize((const char *)at[k], (Py_ssize_t)sizes[k]));
        if (!item || PyList_SetItem(list, k, item) < 0) Py_CLEAR(list);
    }
    if (list) result = Py_BuildValue("(Ny#)", list, (const char *)starts, (Py_ssize_t)s.thresholds * 4);
done:
    for (int k = 0; k < MAX_PLANES; k++) Py_XDECREF(owned[k]);
    PyBuffer_Release(&raw);
    if (base.obj) PyBuffer_Release(&base);
    PyBuffer_Release(&order);
    PyBuffer_Release(&hints);
    PyBuffer_Release(&scratch);
    return result;
}

static PyObject *kernel_decode(PyObject *module, PyObject *args)
{
    Py_buffer base = {0}, order, starts, scratch, out, views[MAX_PLANES];
    int transform, width, low, held = 0, ok = 0;
    PyObject *list;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oz*iiiy*y*w*w*", &list, &base, &transform, &width, &low, &order, &starts, &out, &scratch))
        return NULL;
    Scheme s;
    Planes planes;
    if (!scheme_of(&s, transform, width, low, &order, out.len, &base)) goto done;
    const int count = plane_count(width, low);
    const size_t row_size = s.thresholds ? (2 * s.n + 16) * (size_t)width : 0;
    if (scratch_free(&scratch) < row_size + 64 + MAX_PLANES * (BLOCK + 64) || PyList_Size(list) != count || starts.len != 4 * s.thresholds) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "planes or scratch of the wrong size");
        goto done;
    }
    u8 *free_at = (u8 *)scratch.buf;
    for (int k = 0; k < count; k++) {
        PyObject *item = PyList_GetItem(list, k);
        if (PyLong_Check(item)) {
            long value = PyLong_AsLong(item);
            if (value < 0 || value > 255) {
                if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a plane's value is a byte");
                goto done;
            }
            planes.at[k] = take(&free_at, BLOCK);
            planes.constant[k] = (int)value;
            memset(planes.at[k], (int)value, BLOCK);
            continue;
        }
        if (PyObject_GetBuffer(item, &views[held], PyBUF_SIMPLE) < 0) goto done;
        held++;
        if ((size_t)views[held - 1].len != plane_size(s.n, plane_bits(k, low))) {
            PyErr_SetString(PyExc_ValueError, "a plane of the wrong size");
            goto done;
        }
        planes.at[k] = (u8 *)views[held - 1].buf;
        planes.constant[k] = -1;
    }
    u8 *row = take(&free_at, row_size);
    Groups groups = {{0}};
    for (int k = 0; k < s.thresholds; k++) {
        groups.start[k + 1] = load32((const u8 *)starts.buf + 4 * k);
        if (groups.start[k + 1] < groups.start[k] || groups.start[k + 1] > s.n) goto lies;
    }
    groups.start[s.thresholds + 1] = s.n;
    Py_BEGIN_ALLOW_THREADS
    ok = join_any(&s, (u8 *)out.buf, &planes, row, &groups);
    Py_END_ALLOW_THREADS
lies:
    if (!ok) PyErr_SetString(PyExc_ValueError, "the groups of elements are not where they are said to be");
done:
    while (held) PyBuffer_Release(&views[--held]);
    if (base.obj) PyBuffer_Release(&base);
    PyBuffer_Release(&order);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&out);
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyObject *kernel_costs(PyObject *module, PyObject *args)
{
    Py_buffer raw, base = {0}, order, scratch;
    int transform, width;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*z*iiy*w*", &raw, &base, &transform, &width, &order, &scratch)) return NULL;
    Scheme s;
    if (!scheme_of(&s, transform, width, 0, &order, raw.len, &base)) goto done;
    if (!s.n || s.n > JUDGE_MAX || scratch_free(&scratch) < 8 * JUDGE_MAX + 2 * scratch_needed(&s) + sizeof(FrameWork)) {
        PyErr_SetString(PyExc_ValueError, "sample or scratch of the wrong size");
        goto done;
    }
    u64 cost[8 + 5];
    Py_BEGIN_ALLOW_THREADS
    u8 *free_at = (u8 *)scratch.buf, *at[8], *low[3];
    Planes planes;
    Groups groups;
    for (int k = 0; k < width; k++) planes.at[k] = at[k] = take(&free_at, s.n), planes.constant[k] = -1;
    u8 *group_areas = take(&free_at, group_room(&s));
    FrameWork *work = (FrameWork *)take(&free_at, sizeof(FrameWork));
    split_any(&s, (const u8 *)raw.buf, &planes, group_areas, &groups);
    for (int k = 0; k < width; k++) cost[k] = judge_plane(at[k], 8, groups.start, s.thresholds + 1, work);
    u8 *padded = take(&free_at, s.n + 4);
    memcpy(padded, at[0], s.n);
    memset(padded + s.n, 0, 4);
    for (int k = 0; k < 3; k++) low[k] = take(&free_at, (s.n + 1) / 2);
    for (int split = 1; split < 3; split++) {
        pack_low(padded, s.n, split, low);
        for (int k = 0; k < low_planes(split); k++)
            cost[width + (split == 2 ? 2 : 0) + k] = judge_plane(low[k], LOW_BITS[split][k], groups.start, s.thresholds + 1, work);
    }
    Py_END_ALLOW_THREADS
    result = PyList_New(width + 5);
    for (int k = 0; result && k < width + 5; k++) {
        PyObject *item = PyLong_FromUnsignedLongLong(cost[k]);
        if (!item || PyList_SetItem(result, k, item) < 0) Py_CLEAR(result);
    }
done:
    PyBuffer_Release(&raw);
    if (base.obj) PyBuffer_Release(&base);
    PyBuffer_Release(&order);
    PyBuffer_Release(&scratch);
    return result;
}

static PyObject *kernel_keys(PyObject *module, PyObject *args)
{
    Py_buffer base = {0}, scratch;
    int transform, width, key_shift, elements;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "z*iiiiw*", &base, &transform, &width, &key_shift, &elements, &scratch)) return NULL;
    const u8 lowest[2] = {(u8)key_shift, 1};
    Py_buffer order = {0};
    order.buf = (void *)lowest;
    order.len = 2;
    Scheme s;
    if (!scheme_of(&s, transform, width, 0, &order, (Py_ssize_t)elements * width, &base)) goto done;
    if (elements < 1 || elements > JUDGE_MAX || scratch_free(&scratch) < 32 * JUDGE_MAX) {
        PyErr_SetString(PyExc_ValueError, "sample or scratch of the wrong size");
        goto done;
    }
    u32 count[256] = {0};
    u8 *keys = (u8 *)scratch.buf;
    switch (width) {
    case 1: keys_of_8(&s, keys); break;
    case 2: keys_of_16(&s, keys); break;
    case 4: keys_of_32(&s, keys); break;
    default: keys_of_64(&s, keys); break;
    }
    for (int i = 0; i < elements; i++) count[keys[i]]++;
    result = PyBytes_FromStringAndSize((const char *)count, sizeof count);
done:
    if (base.obj) PyBuffer_Release(&base);
    PyBuffer_Release(&scratch);
    return result;
}

static PyObject *kernel_blank(PyObject *module, PyObject *size)
{
    (void)module;
    const Py_ssize_t n = PyLong_AsSsize_t(size);
    if (n < 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a size is not negative");
        return NULL;
    }
    return PyByteArray_FromStringAndSize(NULL, n);
}

static PyObject *kernel_nonfinite(PyObject *module, PyObject *args)
{
    Py_buffer raw;
    int width;
    unsigned long long top;
    u64 nan = 0, inf = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*iK", &raw, &width, &top)) return NULL;
    int known = 1;
    Py_BEGIN_ALLOW_THREADS
    const u8 *p = (const u8 *)raw.buf;
    size_t size = (size_t)raw.len;
    switch (width) {
    case 1: nonfinite_8(p, size, top, &nan, &inf); break;
    case 2: nonfinite_16(p, size / 2, top, &nan, &inf); break;
    case 4: nonfinite_32(p, size / 4, top, &nan, &inf); break;
    case 8: nonfinite_64(p, size / 8, top, &nan, &inf); break;
    default: known = 0;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&raw);
    if (!known) {
        PyErr_SetString(PyExc_ValueError, "no such width");
        return NULL;
    }
    return Py_BuildValue("(KK)", (unsigned long long)nan, (unsigned long long)inf);
}

static PyMethodDef METHODS[] = {
    {"encode", kernel_encode, METH_VARARGS, "encode(raw, base, transform, width, low, order, hints, scratch) -> (list of (mode, plane), starts)"},
    {"decode", kernel_decode, METH_VARARGS, "decode(planes, base, transform, width, low, order, starts, out, scratch) -> None"},
    {"costs", kernel_costs, METH_VARARGS, "costs(sample, base, transform, width, order, scratch) -> list of costs"},
    {"blank", kernel_blank, METH_O, "blank(size) -> bytearray of arbitrary content"},
    {"keys", kernel_keys, METH_VARARGS, "keys(base, transform, width, key_shift, elements, scratch) -> 256 counts as uint32"},
    {"nonfinite", kernel_nonfinite, METH_VARARGS, "nonfinite(raw, width, top) -> (above, equal)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "mvc.codecs._kernel", "Loops of the codecs in C; see _kernel.pyi.", -1, METHODS, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernel(void)
{
    avx2_setup();
    frame_setup();
    groups_setup();
    judge_setup();
    return PyModule_Create(&MODULE);
}
