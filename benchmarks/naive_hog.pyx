# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The baseline of feature_pass.py: HOG as one would write it down first.

One image at a time, all in float64, pixel after pixel: nine dot products for the
orientation, then four additions to a histogram; then the blocks, cell after cell.
"""

import numpy as np

from libc.math cimport fabs, floor, sqrt

cdef double[9] COSINE
cdef double[9] SINE
for _o in range(5):
    COSINE[_o] = np.cos(np.deg2rad(20 * _o))
    SINE[_o] = np.sin(np.deg2rad(20 * _o))
for _o in range(5, 9):
    COSINE[_o] = -COSINE[9 - _o]
    SINE[_o] = SINE[9 - _o]


def naive_hog(image):
    """H x W x 3 -> (H // 8 - 2) x (W // 8 - 2) x 13."""
    cdef double[:, :, ::1] pixels = np.ascontiguousarray(image, dtype=np.float64)
    cdef Py_ssize_t rows = pixels.shape[0] // 8, columns = pixels.shape[1] // 8
    cdef double[:, :, ::1] cells = np.zeros((rows, columns, 9))
    cdef double[:, ::1] energy = np.zeros((rows, columns))
    result = np.empty((rows - 2, columns - 2, 13))
    cdef double[:, :, ::1] out = result
    cdef Py_ssize_t y, x, c, o, best, top, left, i, j, block
    cdef double dx, dy, v, best_dx, best_dy, best_v, dot, best_dot
    cdef double down, right, root, value, texture
    for y in range(1, 8 * rows - 1):
        for x in range(1, 8 * columns - 1):
            best_v = -1
            best_dx = best_dy = 0
            for c in range(3):
                dx = pixels[y, x + 1, c] - pixels[y, x - 1, c]
                dy = pixels[y + 1, x, c] - pixels[y - 1, x, c]
                v = dx * dx + dy * dy
                if v > best_v:
                    best_v = v
                    best_dx = dx
                    best_dy = dy
            best = 0
            best_dot = 0
            for o in range(9):
                dot = fabs(COSINE[o] * best_dx + SINE[o] * best_dy)
                if dot > best_dot:
                    best_dot = dot
                    best = o
            v = sqrt(best_v)
            down = (y + 0.5) / 8 - 0.5
            right = (x + 0.5) / 8 - 0.5
            top = <Py_ssize_t>floor(down)
            left = <Py_ssize_t>floor(right)
            down -= top
            right -= left
            if top >= 0 and left >= 0:
                cells[top, left, best] += (1 - down) * (1 - right) * v
            if top >= 0 and left + 1 < columns:
                cells[top, left + 1, best] += (1 - down) * right * v
            if top + 1 < rows and left >= 0:
                cells[top + 1, left, best] += down * (1 - right) * v
            if top + 1 < rows and left + 1 < columns:
                cells[top + 1, left + 1, best] += down * right * v
    for y in range(rows):
        for x in range(columns):
            for o in range(9):
                energy[y, x] += cells[y, x, o] * cells[y, x, o]
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            for o in range(9):
                out[y - 1, x - 1, o] = 0
            for block in range(4):
                i = y - block % 2
                j = x - block // 2
                root = sqrt(
                    energy[i, j] + energy[i, j + 1] + energy[i + 1, j]
                    + energy[i + 1, j + 1] + 1e-4
                )
                texture = 0
                for o in range(9):
                    value = min(cells[y, x, o] / root, 0.2)
                    out[y - 1, x - 1, o] += 0.5 * value
                    texture += value
                out[y - 1, x - 1, 9 + block] = 0.2357 * texture
    return result
