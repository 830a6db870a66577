# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""HOG and colour maps, without Python: see README.md for what is computed.

An image is read once, from top to bottom. Each row is laid out channel by channel
(`lines`), as float for uint8 pixels, where everything up to the squared gradient
is a whole number below 2^24 and so exact, and as double for all others. Three such
rows give a row of gradients. A row adds to the colour map on its way.
"""

from libc.math cimport fabs, sqrt
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from *:
    """
    /* The same C compiled for newer processors too; the loader picks. Results do
       not depend on the choice: setup.py forbids fused multiply-adds. */
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) \
        && !defined(__clang__)
    #define FEATURES_DISPATCHED \
        __attribute__((target_clones("avx2", "default"))) void
    #else
    #define FEATURES_DISPATCHED void
    #endif
    """
    ctypedef void dispatched "FEATURES_DISPATCHED"

ctypedef fused pixel_t:
    uint8_t
    float
    double

ctypedef fused value_t:
    float
    double

cdef enum:
    CELL = 8
    ORIENTATIONS = 9
    TEXTURES = 4
    NUMBERS = ORIENTATIONS + TEXTURES
    GROUP = 4 * ORIENTATIONS  # what the pixels between four cell centres add

cpdef enum Fault:
    NONE
    NOT_FINITE  # or so large that its square is not
    NOT_A_COLOUR  # outside 0..255, where the colour map has no meaning
    NO_MEMORY

cdef double EPSILON = 1e-4
cdef double CLIP = 0.2
cdef double TEXTURE = 0.2357
cdef double LARGEST = 1e100


cdef struct Source:
    const char* data
    Py_ssize_t height, width, channels
    Py_ssize_t row, column, channel  # strides in bytes


cdef struct Scratch:
    # Three rows, each `channels` lines of `width` values, then a row's gradients
    # (all dx, all dy).
    void* lines
    void* sums  # one row: the rows so far of one row of the colour map
    # A row of gradients, shifted by half a cell: 8 entries a group of pixels that
    # share their four cells; 4 x orientation, the place in `groups`.
    double* magnitude
    int* place
    double* groups  # group x orientation x (cell above left, right, below left, right)
    double* cells  # one more on each side: (rows + 2) x (columns + 2) x 9
    double* energy  # rows x columns
    double* norms  # of the 2 x 2 blocks: (rows - 1) x (columns - 1)
    double* hog
    double* map


cdef dispatched load_row(
    const char* source, Py_ssize_t column, Py_ssize_t channel,
    Py_ssize_t width, Py_ssize_t channels, const pixel_t* kind, value_t* line,
) noexcept nogil:
    """Copies a row of pixels of any strides into a line a channel."""
    cdef Py_ssize_t x, c
    cdef const pixel_t* pixels
    cdef const char* byte
    if channels == 3 and channel == sizeof(pixel_t) and column == 3 * channel:
        pixels = <const pixel_t*>source
        for x in range(width):
            line[x] = <value_t>pixels[3 * x]
            line[width + x] = <value_t>pixels[3 * x + 1]
            line[2 * width + x] = <value_t>pixels[3 * x + 2]
    else:
        for c in range(channels):
            byte = source + c * channel
            for x in range(width):
                line[c * width + x] = <value_t>(<const pixel_t*>byte)[0]
                byte += column


cdef dispatched first_gradient(
    const value_t* above, const value_t* line, const value_t* below,
    Py_ssize_t stop, value_t* dxs, value_t* dys,
) noexcept nogil:
    """Central differences of the pixels 1..stop-1 of one channel's line."""
    cdef Py_ssize_t x
    for x in range(1, stop):
        dxs[x] = line[x + 1] - line[x - 1]
        dys[x] = below[x] - above[x]


cdef dispatched stronger_gradient(
    const value_t* above, const value_t* line, const value_t* below,
    Py_ssize_t stop, value_t* dxs, value_t* dys,
) noexcept nogil:
    """The same, where this channel's gradient is larger than those before."""
    cdef Py_ssize_t x
    cdef value_t dx, dy, old_dx, old_dy
    cdef int larger
    for x in range(1, stop):
        dx = line[x + 1] - line[x - 1]
        dy = below[x] - above[x]
        old_dx = dxs[x]
        old_dy = dys[x]
        larger = dx * dx + dy * dy > old_dx * old_dx + old_dy * old_dy
        # Both chosen before either is stored, or GCC does not vectorise.
        dx = dx if larger else old_dx
        dy = dy if larger else old_dy
        dxs[x] = dx
        dys[x] = dy


cdef dispatched snap(
    const value_t* dxs, const value_t* dys,
    Py_ssize_t stop, double* magnitude, int* place,
) noexcept nogil:
    """Magnitude and 4 x orientation of the pixels 1..stop-1 of a row.

    The orientation o in 0..8 is the angle of the gradient, modulo 180 degrees,
    rounded to the nearest multiple of 20: of the nine unit vectors the one with the
    largest |dot product|. By symmetry four comparisons of |dy| with |dx| decide. A
    vertical gradient lies between 4 and 5 and counts as 4.
    """
    cdef value_t t10 = <value_t>0.17632698070846498  # tan of 10, 30, 50, 70 degrees
    cdef value_t t30 = <value_t>0.57735026918962576
    cdef value_t t50 = <value_t>1.19175359259420996
    cdef value_t t70 = <value_t>2.74747741945462228
    cdef Py_ssize_t x
    cdef value_t dx, dy, ax, ay
    cdef int o, back
    for x in range(1, stop):
        magnitude[x] = sqrt(<double>(dxs[x] * dxs[x] + dys[x] * dys[x]))
    for x in range(1, stop):
        dx = dxs[x]
        dy = dys[x]
        ax = -dx if dx < 0 else dx
        ay = -dy if dy < 0 else dy
        o = 4 if ay > t10 * ax else 0
        o += 4 if ay > t30 * ax else 0
        o += 4 if ay > t50 * ax else 0
        o += 4 if ay > t70 * ax else 0
        back = ((dx < 0) & (dy > 0)) | ((dx > 0) & (dy < 0))
        back &= o > 0
        place[x] = 36 - o if back else o


cdef dispatched spread_row(
    const double* magnitude, const int* place, Py_ssize_t count, double down,
    double* groups,
) noexcept nogil:
    """Adds a row of gradients to its groups; `down` is the lower cells' weight.

    One column of all groups after the other, for the weights to stay the same and
    successive additions never to meet.
    """
    cdef Py_ssize_t i, g
    cdef double right, w0, w1, w2, w3, m
    cdef double* at
    for i in range(CELL):
        right = (i + 0.5) / CELL
        w0 = (1 - down) * (1 - right)
        w1 = (1 - down) * right
        w2 = down * (1 - right)
        w3 = down * right
        for g in range(count):
            m = magnitude[CELL * g + i]
            at = groups + GROUP * g + place[CELL * g + i]
            at[0] += w0 * m
            at[1] += w1 * m
            at[2] += w2 * m
            at[3] += w3 * m


cdef void fold_groups(
    const double* groups, Py_ssize_t count, double* above, double* below
) noexcept nogil:
    """Adds the groups of a row of groups to the two rows of cells they lie between."""
    cdef Py_ssize_t g, o, left, right
    for g in range(count):
        left = ORIENTATIONS * g
        right = left + ORIENTATIONS
        for o in range(ORIENTATIONS):
            above[left + o] += groups[GROUP * g + 4 * o]
            above[right + o] += groups[GROUP * g + 4 * o + 1]
            below[left + o] += groups[GROUP * g + 4 * o + 2]
            below[right + o] += groups[GROUP * g + 4 * o + 3]


cdef void normalise(
    Scratch* s, Py_ssize_t rows, Py_ssize_t columns
) noexcept nogil:
    """From the cells to the 13 numbers of each cell that is not on the border."""
    cdef Py_ssize_t y, x, o, b
    cdef double total, value, sum1, sum2, sum3, sum4, h1, h2, h3, h4, n1, n2, n3, n4
    cdef const double* cell
    cdef const double* e
    cdef double* out = s.hog
    for y in range(rows):
        for x in range(columns):
            cell = s.cells + ((y + 1) * (columns + 2) + x + 1) * ORIENTATIONS
            total = 0
            for o in range(ORIENTATIONS):
                total += cell[o] * cell[o]
            s.energy[y * columns + x] = total
    for y in range(rows - 1):
        for x in range(columns - 1):
            e = s.energy + y * columns + x
            total = e[0] + e[1] + e[columns] + e[columns + 1] + EPSILON
            s.norms[y * (columns - 1) + x] = 1 / sqrt(total)
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            cell = s.cells + ((y + 1) * (columns + 2) + x + 1) * ORIENTATIONS
            b = y * (columns - 1) + x
            n1 = s.norms[b]  # the block to the lower right
            n2 = s.norms[b - columns + 1]  # upper right
            n3 = s.norms[b - 1]  # lower left
            n4 = s.norms[b - columns]  # upper left
            sum1 = sum2 = sum3 = sum4 = 0
            for o in range(ORIENTATIONS):
                value = cell[o]
                h1 = value * n1
                h2 = value * n2
                h3 = value * n3
                h4 = value * n4
                h1 = h1 if h1 < CLIP else CLIP
                h2 = h2 if h2 < CLIP else CLIP
                h3 = h3 if h3 < CLIP else CLIP
                h4 = h4 if h4 < CLIP else CLIP
                out[o] = 0.5 * (h1 + h2 + h3 + h4)
                sum1 += h1
                sum2 += h2
                sum3 += h3
                sum4 += h4
            out[ORIENTATIONS] = TEXTURE * sum1
            out[ORIENTATIONS + 1] = TEXTURE * sum2
            out[ORIENTATIONS + 2] = TEXTURE * sum3
            out[ORIENTATIONS + 3] = TEXTURE * sum4
            out += NUMBERS


cdef dispatched add_row(
    const value_t* line, Py_ssize_t count, value_t weight, value_t* sums
) noexcept nogil:
    cdef Py_ssize_t x
    for x in range(count):
        sums[x] += weight * line[x]


cdef void map_row(
    const value_t* sums, Py_ssize_t height, Py_ssize_t width,
    Py_ssize_t columns, double* out,
) noexcept nogil:
    """One row of the colour map from the sums of its rows of pixels.

    In units of 1 / columns a pixel is `columns` wide and an entry of the map `width`,
    so that all weights are whole numbers, and so are all sums of whole pixels.
    """
    cdef Py_ssize_t j, x, first, last, weight
    cdef double red, green, blue, luma, area = <double>height * <double>width
    for j in range(columns):
        first = j * width // columns
        last = ((j + 1) * width - 1) // columns
        red = green = blue = 0
        for x in range(first + 1, last):
            red += sums[x]
            green += sums[width + x]
            blue += sums[2 * width + x]
        red *= columns
        green *= columns
        blue *= columns
        weight = min((first + 1) * columns, (j + 1) * width) - j * width
        red += weight * <double>sums[first]
        green += weight * <double>sums[width + first]
        blue += weight * <double>sums[2 * width + first]
        if last > first:
            weight = (j + 1) * width - last * columns
            red += weight * <double>sums[last]
            green += weight * <double>sums[width + last]
            blue += weight * <double>sums[2 * width + last]
        red /= area
        green /= area
        blue /= area
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        out[2 * j] = 128 + 0.713 * (red - luma)
        out[2 * j + 1] = 128 + 0.564 * (blue - luma)


cdef void map_of_grey(double* out, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = 128


cdef dispatched check_line(
    const value_t* line, Py_ssize_t count, long* infinite, long* no_colour
) noexcept nogil:
    """Counts the values that are not finite, or too large, and those outside 0..255."""
    cdef Py_ssize_t x
    cdef value_t size
    cdef long bad = 0, outside = 0
    for x in range(count):
        size = -line[x] if line[x] < 0 else line[x]
        bad += 0 if size <= <value_t>LARGEST else 1  # 1 if NaN
        outside += 0 if (line[x] >= 0) & (line[x] <= 255) else 1
    infinite[0] += bad
    no_colour[0] += outside


cdef Fault read_image(
    Source* image, Scratch* s, const pixel_t* kind, value_t* lines, value_t* sums,
    bint with_hog, Py_ssize_t map_rows, Py_ssize_t map_columns,
) noexcept nogil:
    """HOG (into s.hog) and, where map_rows > 0, the colour map (s.map) of one image."""
    cdef Py_ssize_t width = image.width, height = image.height
    cdef Py_ssize_t line = width * image.channels
    cdef Py_ssize_t rows = height // CELL, columns = width // CELL
    cdef Py_ssize_t y, position, stop, band, group, c
    cdef bint coloured = map_rows > 0 and image.channels == 3
    cdef value_t* dxs = lines + 3 * line
    cdef value_t* dys = dxs + width
    cdef value_t* above
    cdef value_t* middle
    cdef value_t* newest
    cdef long infinite = 0, no_colour = 0
    if with_hog:
        memset(s.cells, 0, (rows + 2) * (columns + 2) * ORIENTATIONS * sizeof(double))
        memset(s.groups, 0, (columns + 1) * GROUP * sizeof(double))
    if coloured:
        memset(sums, 0, line * sizeof(value_t))
    elif map_rows > 0:
        map_of_grey(s.map, 2 * map_rows * map_columns)

    for y in range(height):
        newest = lines + y % 3 * line
        load_row(
            image.data + y * image.row, image.column, image.channel,
            width, image.channels, kind, newest,
        )
        if pixel_t is not uint8_t:
            check_line(newest, line, &infinite, &no_colour)
            if infinite:
                return NOT_FINITE
            if no_colour and map_rows > 0:
                return NOT_A_COLOUR
        if coloured:
            position = y * map_rows  # as in map_row
            while position < (y + 1) * map_rows:
                band = position // height
                stop = min((y + 1) * map_rows, (band + 1) * height)
                add_row(newest, line, <value_t>(stop - position), sums)
                if stop == (band + 1) * height:
                    map_row(
                        sums, height, width, map_columns,
                        s.map + 2 * band * map_columns,
                    )
                    memset(sums, 0, line * sizeof(value_t))
                position = stop
        if with_hog and 2 <= y < rows * CELL:
            # The gradients of row y - 1, which lies between rows group - 1 and group
            # of cells; 0 and `rows` are the half cells at the edges.
            above = lines + (y - 2) % 3 * line
            middle = lines + (y - 1) % 3 * line
            stop = columns * CELL - 1
            first_gradient(above, middle, newest, stop, dxs, dys)
            for c in range(1, image.channels):
                stronger_gradient(
                    above + c * width, middle + c * width, newest + c * width,
                    stop, dxs, dys,
                )
            snap(
                dxs, dys, stop,
                s.magnitude + CELL // 2, s.place + CELL // 2,
            )
            group = (y - 1 + CELL // 2) // CELL
            spread_row(
                s.magnitude, s.place, columns + 1,
                ((y - 1 + CELL // 2) % CELL + 0.5) / CELL, s.groups,
            )
            if (y + CELL // 2) % CELL == 0 or y == rows * CELL - 1:
                fold_groups(
                    s.groups, columns + 1,
                    s.cells + group * (columns + 2) * ORIENTATIONS,
                    s.cells + (group + 1) * (columns + 2) * ORIENTATIONS,
                )
                memset(s.groups, 0, (columns + 1) * GROUP * sizeof(double))
    if with_hog:
        normalise(s, rows, columns)
    return NONE


cdef void free_scratch(Scratch* s) noexcept nogil:
    free(s.lines)
    free(s.sums)
    free(s.magnitude)
    free(s.place)
    free(s.groups)
    free(s.cells)
    free(s.energy)
    free(s.norms)
    free(s.hog)
    free(s.map)


cdef bint allocate(
    Scratch* s, Source* image, bint with_hog, Py_ssize_t map_count
) noexcept nogil:
    cdef size_t line = image.width * image.channels
    cdef size_t rows = image.height // CELL, columns = image.width // CELL
    memset(s, 0, sizeof(Scratch))
    s.lines = calloc(3 * line + 2 * image.width, sizeof(double))
    s.sums = calloc(line, sizeof(double))
    s.map = <double*>calloc(map_count + 1, sizeof(double))
    if s.lines == NULL or s.sums == NULL or s.map == NULL:
        return False
    if not with_hog:
        return True
    # What gradient_row does not write stays 0: the outermost pixels.
    s.magnitude = <double*>calloc((columns + 1) * CELL, sizeof(double))
    s.place = <int*>calloc((columns + 1) * CELL, sizeof(int))
    s.groups = <double*>calloc((columns + 1) * GROUP, sizeof(double))
    s.cells = <double*>calloc((rows + 2) * (columns + 2) * ORIENTATIONS, sizeof(double))
    s.energy = <double*>calloc(rows * columns, sizeof(double))
    s.norms = <double*>calloc(rows * columns, sizeof(double))
    s.hog = <double*>calloc(rows * columns * NUMBERS, sizeof(double))
    return (
        s.magnitude != NULL and s.place != NULL and s.groups != NULL
        and s.cells != NULL and s.energy != NULL and s.norms != NULL
        and s.hog != NULL
    )


def run(
    const pixel_t[:, :, :, :] images,
    double[:, ::1] hog,
    double[:, ::1] colours,
    float[:, ::1] rows,
    Py_ssize_t map_rows,
    Py_ssize_t map_columns,
):
    """Fills, for n x H x W x (1 or 3) pixels, those of the outputs that are not None:
    HOG, the colour map, and both scaled as the network wants them.

    Returns (fault, image): 0, or what is wrong with which image.
    """
    cdef Source image
    cdef Scratch s
    cdef Fault fault = NONE
    cdef Py_ssize_t n, i, count
    cdef bint with_hog = hog is not None or rows is not None
    cdef const pixel_t* kind = NULL
    cdef Py_ssize_t map_count = 2 * map_rows * map_columns
    if images.shape[0] == 0:
        return NONE, 0
    image.height = images.shape[1]
    image.width = images.shape[2]
    image.channels = images.shape[3]
    image.row = images.strides[1]
    image.column = images.strides[2]
    image.channel = images.strides[3]
    count = (image.height // CELL - 2) * (image.width // CELL - 2) * NUMBERS
    with nogil:
        if not allocate(&s, &image, with_hog, map_count):
            fault = NO_MEMORY
        n = 0
        while fault == NONE and n < images.shape[0]:
            image.data = <const char*>&images[n, 0, 0, 0]
            if pixel_t is uint8_t:
                fault = read_image(
                    &image, &s, kind, <float*>s.lines, <float*>s.sums,
                    with_hog, map_rows, map_columns,
                )
            else:
                fault = read_image(
                    &image, &s, kind, <double*>s.lines, <double*>s.sums,
                    with_hog, map_rows, map_columns,
                )
            if fault != NONE:
                break
            if hog is not None:
                for i in range(count):
                    hog[n, i] = s.hog[i]
            if colours is not None:
                for i in range(map_count):
                    colours[n, i] = s.map[i]
            if rows is not None:
                for i in range(count):
                    rows[n, i] = <float>((s.hog[i] - 0.2) * 10)
                for i in range(map_count):
                    rows[n, count + i] = <float>((s.map[i] - 128) / 10)
            n += 1
        free_scratch(&s)
    return fault, n
