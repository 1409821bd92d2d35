/* mvc.repo._statpass: the loop of mvc/repo/statpass.py in C, optional: one stat a staged file and
   a comparison. It lets go of the GIL, so that two threads halve the time. Only the limited API of
   Python is used, so one build serves all versions from 3.11. POSIX alone. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#define MTIME(s) (s).st_mtimespec
#define CTIME(s) (s).st_ctimespec
#else
#define MTIME(s) (s).st_mtim
#define CTIME(s) (s).st_ctim
#endif

/* A row of the stage's column of stats: mtime, ctime, inode, size, each 8 bytes, little endian. */
enum { ROW = 32 };

static void put(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t nanoseconds(struct timespec t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Does the file at `path` below the folder `dir` look just as `row` says? Sets `failed` to an errno
   that is neither "no such file" nor "a file is on the way". */
static int looks_the_same(int dir, const char *path, const uint8_t *row, int *failed)
{
    struct stat found;
    uint8_t now[ROW];
    if (fstatat(dir, path, &found, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT && errno != ENOTDIR && !*failed) *failed = errno;
        return 0;
    }
    put(now, nanoseconds(MTIME(found)));
    put(now + 8, nanoseconds(CTIME(found)));
    put(now + 16, (uint64_t)found.st_ino);
    put(now + 24, (uint64_t)found.st_size);
    return !memcmp(now, row, ROW);
}

PyDoc_STRVAR(differing_doc,
"differing(dir_fd, paths, stats, start, stop, row, /)\n--\n\n"
"The rows whose file is absent or does not look as its 32 bytes of `stats` say, as bytes of native\n"
"unsigned ints. `paths` is the column of paths, divided by NUL; of it the bytes from `start` to `stop`\n"
"are looked at, which begin at row `row`. Raises OSError, ValueError.");

static PyObject *differing(PyObject *self, PyObject *args)
{
    int dir, failed = 0, wrong = 0;
    Py_buffer paths, stats;
    Py_ssize_t start, stop, row;
    (void)self;
    if (!PyArg_ParseTuple(args, "iy*y*nnn", &dir, &paths, &stats, &start, &stop, &row)) return NULL;

    const char *text = paths.buf;
    unsigned *rows = NULL;
    size_t count = 0, room = 0;
    char *copy = NULL;
    if (start < 0 || stop < start || stop > paths.len || row < 0) wrong = 1;

    Py_BEGIN_ALLOW_THREADS
    while (!wrong && start <= stop) {
        const char *end = memchr(text + start, 0, (size_t)(stop - start));
        size_t length = end ? (size_t)(end - text) - (size_t)start : (size_t)(stop - start);
        if (row >= stats.len / ROW) {
            wrong = 1;
            break;
        }
        const char *path = text + start;
        if (!end) {
            /* The last path ends with the buffer, without a NUL. */
            copy = malloc(length + 1);
            if (!copy) {
                failed = ENOMEM;
                break;
            }
            memcpy(copy, path, length);
            copy[length] = 0;
            path = copy;
        }
        if (!looks_the_same(dir, path, (const uint8_t *)stats.buf + row * ROW, &failed)) {
            if (failed) break;
            if (count == room) {
                size_t more = room ? 2 * room : 64;
                unsigned *bigger = realloc(rows, more * sizeof *rows);
                if (!bigger) {
                    failed = ENOMEM;
                    break;
                }
                rows = bigger;
                room = more;
            }
            rows[count++] = (unsigned)row;
        }
        row++;
        start += (Py_ssize_t)length + 1;
    }
    Py_END_ALLOW_THREADS

    PyObject *result = NULL;
    if (wrong) {
        PyErr_SetString(PyExc_ValueError, "paths and stats do not fit");
    } else if (failed) {
        errno = failed;
        PyErr_SetFromErrno(PyExc_OSError);
    } else {
        result = PyBytes_FromStringAndSize((const char *)rows, (Py_ssize_t)(count * sizeof *rows));
    }
    free(copy);
    free(rows);
    PyBuffer_Release(&paths);
    PyBuffer_Release(&stats);
    return result;
}

static PyMethodDef methods[] = {
    {"differing", differing, METH_VARARGS, differing_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "mvc.repo._statpass", "The loop of mvc.repo.statpass in C.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__statpass(void)
{
    return PyModule_Create(&module);
}
