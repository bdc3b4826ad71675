// Moving data into the order that the compute kernels want: padded regions, transposes, row copies.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
KONV_INLINE void copy_run(const T* src, T* dst, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(dst + i, load(src + i));
  if (i < n) store_n(dst + i, load_n(src + i, int(n - i)), int(n - i));
}
template <class T>
KONV_INLINE void zero_run(T* dst, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(dst + i, Vec<T>{});
  if (i < n) store_n(dst + i, Vec<T>{}, int(n - i));
}

// The vector of src[j * Step] for j from i on, zero outside [begin, end).
template <int Step, class T>
KONV_INLINE Vec<T> load_run(const T* src, int64_t i, int64_t begin, int64_t end) {
  constexpr int L = kLanes<T>;
  const int64_t low = begin - i < 0   ? 0
                      : begin - i < L ? begin - i
                                      : L,
                high = end - i < 0   ? 0
                       : end - i < L ? end - i
                                     : L;
  // The vectors behind a strided load end one element past the last that is used.
  const bool whole = low == 0 && (Step == 1 ? high == L : end - i > L);
  return whole ? load_step<Step>(src + i * Step)
               : load_step_between<Step>(src + i * Step, int(low < high ? low : high), int(high));
}
// dst[i] = src[i * step] for i in [begin, end), zero for the rest of [0, n); writes up to a vector more.
template <int Step, class T>
KONV_INLINE void pack_run(const T* src, T* dst, int64_t begin, int64_t end, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes<T>) store(dst + i, load_run<Step>(src, i, begin, end));
}
template <class T>
KONV_INLINE void pack_row(const T* src, int64_t step, T* dst, int64_t begin, int64_t end, int64_t n) {
  if (step == 1) return pack_run<1>(src, dst, begin, end, n);
  if (step == 2) return pack_run<2>(src, dst, begin, end, n);
  zero_run(dst, n);
  for (int64_t i = begin; i < end; i++) dst[i] = src[i * step];
}

// The pointer to the row that follows. Compilers would otherwise keep the addresses of all rows of a square in flight,
// more than there are registers.
template <class T>
KONV_INLINE T* next_row(T* p, int64_t ld) {
  p += ld;
  asm("" : "+r"(p));
  return p;
}

// Squares of src, of elements Step apart, after transposing: put(t, r, nr, c, nc) gets nc columns from c on of nr rows
// from r on, one column in each vector.
template <class T, int Step, class Put>
KONV_INLINE void transpose_squares(const T* src, int64_t src_ld, int64_t rows, int64_t cols, Put&& put) {
  constexpr int L = kLanes<T>;
  for (int64_t r = 0; r < rows; r += L) {
    const int nr = int(rows - r < L ? rows - r : L);
    for (int64_t c = 0; c < cols; c += L) {
      const int nc = int(cols - c < L ? cols - c : L);
      const T* s = src + r * src_ld + c * Step;
      Vec<T> t[L];
      // The vectors behind a strided load end one element past the last that is used.
      if (nr == L && (Step == 1 ? nc == L : cols - c > L)) {
        KONV_UNROLL
        for (int i = 0; i < L; i++, s = next_row(s, src_ld)) t[i] = load_step<Step>(s);
        transpose_square<T>(t);
        put(t, r, L, c, nc);
      } else {
        KONV_UNROLL
        for (int i = 0; i < L; i++, s = next_row(s, src_ld))
          t[i] = i < nr ? load_step_between<Step>(s, 0, nc) : Vec<T>{};
        transpose_square<T>(t);
        put(t, r, nr, c, nc);
      }
    }
  }
}
template <class T>
static void transpose(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) {
  constexpr int L = kLanes<T>;
  transpose_squares<T, 1>(src, src_ld, rows, cols, [=](const Vec<T>* t, int64_t r, int nr, int64_t c, int nc) {
    T* d = dst + c * dst_ld + r;
    if (nr == L && nc == L) {
      KONV_UNROLL
      for (int i = 0; i < L; i++, d = next_row(d, dst_ld)) store(d, t[i]);
    } else {
      KONV_UNROLL
      for (int i = 0; i < L; i++, d = next_row(d, dst_ld))
        if (i < nc) store_n(d, t[i], nr);
    }
  });
}
// Column c goes to row(c), which is null for a column that is left out.
template <class T, int Step = 1, class Row>
KONV_INLINE void transpose_to(const T* src, int64_t src_ld, int64_t rows, int64_t cols, Row&& row) {
  transpose_squares<T, Step>(src, src_ld, rows, cols, [&](const Vec<T>* t, int64_t r, int nr, int64_t c, int nc) {
    KONV_UNROLL
    for (int i = 0; i < kLanes<T>; i++) {
      T* const d = i < nc ? row(c + i) : nullptr;
      if (d && nr == kLanes<T>)
        store(d + r, t[i]);
      else if (d)
        store_n(d + r, t[i], nr);
    }
  });
}
template <class T>
static void transpose_scatter(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst,
                              const int64_t* dst_off) {
  transpose_to<T>(src, src_ld, rows, cols, [=](int64_t c) { return dst_off[c] < 0 ? (T*)nullptr : dst + dst_off[c]; });
}

template <class T>
static void copy_rows(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) {
  for (int64_t r = 0; r < rows; r++) copy_run(src + r * src_ld, dst + r * dst_ld, cols);
}

template <class T>
static void spread_rows(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) {
  constexpr int L = kLanes<T>;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c += L) {
      const int n = int(cols - c < L ? cols - c : L);
      store_spread(dst + r * dst_ld + 2 * c, load_n(src + r * src_ld + c, n), n);
    }
}

template <class T>
static void add_rows(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) {
  constexpr int L = kLanes<T>;
  for (int64_t r = 0; r < rows; r++) {
    const T* s = src + r * src_ld;
    T* d = dst + r * dst_ld;
    int64_t i = 0;
    for (; i + L <= cols; i += L) store(d + i, load(d + i) + load(s + i));
    if (i < cols) store_n(d + i, load_n(d + i, int(cols - i)) + load_n(s + i, int(cols - i)), int(cols - i));
  }
}

// Of C vectors side by side, elements Channel, Channel + C, ...: one channel of interleaved pixels.
template <int C, int Channel, class T, int... I>
KONV_INLINE Vec<T> one_channel(const Vec<T>* v, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  Vec<T> r = __builtin_shufflevector(v[0], v[1], (I * C + Channel < 2 * L ? I * C + Channel : 0)...);
  if constexpr (C > 2) r = __builtin_shufflevector(r, v[2], ((I * C + Channel) / L == 2 ? I * C + Channel - L : I)...);
  if constexpr (C > 3)
    r = __builtin_shufflevector(r, v[3], ((I * C + Channel) / L == 3 ? I * C + Channel - 2 * L : I)...);
  return r;
}
// Vector Part of the C vectors that interleaved pixels make.
template <int C, int Part, class T, int... I>
KONV_INLINE Vec<T> pixel_part(const Vec<T>* v, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>, E = Part * L;
  Vec<T> r = __builtin_shufflevector(v[0], v[1], ((E + I) / C + ((E + I) % C == 1 ? L : 0))...);
  if constexpr (C > 2) r = __builtin_shufflevector(r, v[2], ((E + I) % C == 2 ? L + (E + I) / C : I)...);
  if constexpr (C > 3) r = __builtin_shufflevector(r, v[3], ((E + I) % C == 3 ? L + (E + I) / C : I)...);
  return r;
}

template <int C, class T, int... Channel>
KONV_INLINE int64_t split_vectors(const T* src, int64_t pixels, T* dst, int64_t dst_ld,
                                  std::integer_sequence<int, Channel...>) {
  constexpr int L = kLanes<T>;
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  int64_t j = 0;
  for (; j + L <= pixels; j += L) {
    const Vec<T> v[] = {load(src + j * C + Channel * L)...};
    (store(dst + Channel * dst_ld + j, one_channel<C, Channel, T>(v, lanes)), ...);
  }
  return j;
}
template <int C, class T, int... Channel>
KONV_INLINE int64_t join_vectors(const T* src, int64_t src_ld, int64_t pixels, T* dst,
                                 std::integer_sequence<int, Channel...>) {
  constexpr int L = kLanes<T>;
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  int64_t j = 0;
  for (; j + L <= pixels; j += L) {
    const Vec<T> v[] = {load(src + Channel * src_ld + j)...};
    (store(dst + j * C + Channel * L, pixel_part<C, Channel, T>(v, lanes)), ...);
  }
  return j;
}

template <class T>
static void split_pixels(const T* src, int64_t pixels, int64_t channels, T* dst, int64_t dst_ld) {
  int64_t j = 0;
  if (channels == 2) j = split_vectors<2>(src, pixels, dst, dst_ld, std::make_integer_sequence<int, 2>{});
  if (channels == 3) j = split_vectors<3>(src, pixels, dst, dst_ld, std::make_integer_sequence<int, 3>{});
  if (channels == 4) j = split_vectors<4>(src, pixels, dst, dst_ld, std::make_integer_sequence<int, 4>{});
  for (; j < pixels; j++)
    for (int64_t c = 0; c < channels; c++) dst[c * dst_ld + j] = src[j * channels + c];
}
template <class T>
static void join_pixels(const T* src, int64_t src_ld, int64_t pixels, int64_t channels, T* dst) {
  int64_t j = 0;
  if (channels == 2) j = join_vectors<2>(src, src_ld, pixels, dst, std::make_integer_sequence<int, 2>{});
  if (channels == 3) j = join_vectors<3>(src, src_ld, pixels, dst, std::make_integer_sequence<int, 3>{});
  if (channels == 4) j = join_vectors<4>(src, src_ld, pixels, dst, std::make_integer_sequence<int, 4>{});
  for (; j < pixels; j++)
    for (int64_t c = 0; c < channels; c++) dst[j * channels + c] = src[c * src_ld + j];
}

// The packed indices of one phase whose source lies inside: [begin, end).
struct PackSpan {
  int64_t start, begin, end;
};
KONV_INLINE PackSpan pack_span(const PackAxis& a, int64_t p) {
  const int64_t start = a.first + a.phase[p];
  int64_t begin = start >= 0 ? 0 : (-start + a.step - 1) / a.step;
  int64_t end = start >= a.size ? 0 : (a.size - 1 - start) / a.step + 1;
  begin = begin < a.count ? begin : a.count;
  end = end < a.count ? end : a.count;
  return {start, begin, end > begin ? end : begin};
}

// Planes from channels-last pixels, several channels at a time.
template <class T>
static void pack_pixels_as_planes(const PackRegion<T>& p) {
  const int64_t step = p.x.step * p.x.stride;
  T* dst = p.dst;
  for (int64_t pz = 0; pz < p.z.phases; pz++) {
    const PackSpan sz = pack_span(p.z, pz);
    for (int64_t z = 0; z < p.z.count; z++) {
      const bool z_inside = z >= sz.begin && z < sz.end;
      const T* slice = p.src + (z_inside ? (sz.start + z * p.z.step) * p.z.stride : 0);
      for (int64_t py = 0; py < p.y.phases; py++) {
        const PackSpan sy = pack_span(p.y, py);
        for (int64_t px = 0; px < p.x.phases; px++) {
          const PackSpan sx = pack_span(p.x, px);
          for (int64_t y = 0; y < p.y.count; y++, dst += p.x_pitch) {
            const bool inside = z_inside && y >= sy.begin && y < sy.end;
            const int64_t begin = inside ? sx.begin : p.x_pitch, end = inside ? sx.end : p.x_pitch;
            for (int64_t c = 0; c < p.channels; c++) {
              zero_run(dst + c * p.channel_pitch, begin);
              zero_run(dst + c * p.channel_pitch + end, p.x_pitch - end);
            }
            const T* row = slice + (sy.start + y * p.y.step) * p.y.stride + sx.start * p.x.stride + begin * step;
            if (begin < end) transpose(row, step, end - begin, p.channels, dst + begin, p.channel_pitch);
          }
        }
      }
    }
  }
}

// One packed plane for each `together` channels; pack(c, row, step, dst, begin, end, n) packs a row from that of
// channel c, blank(dst, n) one outside the source.
template <class T, class S, class Blank, class Pack>
KONV_INLINE void pack_planes_by(const PackRegion<T, S>& p, int64_t together, Blank&& blank, Pack&& pack) {
  for (int64_t c = 0; c * together < p.channels; c++) {
    const S* channel = p.src + c * together * p.channel_stride;
    T* dst = p.dst + c * p.channel_pitch;
    for (int64_t pz = 0; pz < p.z.phases; pz++) {
      const PackSpan sz = pack_span(p.z, pz);
      for (int64_t z = 0; z < p.z.count; z++) {
        const bool z_inside = z >= sz.begin && z < sz.end;
        const S* slice = channel + (z_inside ? (sz.start + z * p.z.step) * p.z.stride : 0);
        for (int64_t py = 0; py < p.y.phases; py++) {
          const PackSpan sy = pack_span(p.y, py);
          for (int64_t px = 0; px < p.x.phases; px++) {
            const PackSpan sx = pack_span(p.x, px);
            const int64_t step = p.x.step * p.x.stride;
            for (int64_t y = 0; y < p.y.count; y++, dst += p.x_pitch) {
              if (!z_inside || y < sy.begin || y >= sy.end || sx.begin == sx.end) {
                blank(dst, p.x_pitch);
                continue;
              }
              const S* row = slice + (sy.start + y * p.y.step) * p.y.stride + sx.start * p.x.stride;
              pack(c * together, row, step, dst, sx.begin, sx.end, p.x_pitch);
            }
          }
        }
      }
    }
  }
}

// dst[j * dst_ld + i * run + s] = src[off[i] + j * step + s]: the values that each of the pixels j multiplies.
template <int Bytes, class T>
KONV_INLINE void gather_runs(const T* src, int64_t step, const int64_t* off, int64_t runs, int64_t run, int64_t pixels,
                             T* dst, int64_t dst_ld) {
  for (int64_t j = 0; j < pixels; j++, src += step, dst += dst_ld)
    for (int64_t i = 0; i < runs; i++) __builtin_memcpy(dst + i * run, src + off[i], Bytes);
}
template <class T>
static void gather_taps(const T* src, int64_t step, const int64_t* off, int64_t runs, int64_t run, int64_t pixels,
                        T* dst, int64_t dst_ld) {
  const int64_t bytes = run * int64_t(sizeof(T));
  if (bytes <= 16) return gather_runs<16>(src, step, off, runs, run, pixels, dst, dst_ld);
  if (bytes <= 32) return gather_runs<32>(src, step, off, runs, run, pixels, dst, dst_ld);
  if (bytes <= 64) return gather_runs<64>(src, step, off, runs, run, pixels, dst, dst_ld);
  for (int64_t j = 0; j < pixels; j++, src += step, dst += dst_ld)
    for (int64_t i = 0; i < runs; i++) copy_run(src + off[i], dst + i * run, run);
}

// Both phases of the columns of a step of 2: even[j] = row[2 * j], odd[j] = row[2 * j + 1] for j in [0, n), zero where
// the elements are outside [begin, end).
template <class T>
KONV_INLINE void pack_phases(const T* row, int64_t begin, int64_t end, T* even, T* odd, int64_t n) {
  constexpr int L = kLanes<T>;
  const auto clamp = [](int64_t i) { return int(i < 0 ? 0 : i < L ? i : L); };
  for (int64_t j = 0; j < n; j += L) {
    const int64_t at = 2 * j;
    Vec<T> a, b;
    if (at >= begin && at + 2 * L <= end) {
      a = load(row + at), b = load(row + at + L);
    } else {
      a = load_between(row + at, clamp(begin - at), clamp(end - at));
      b = load_between(row + at + L, clamp(begin - at - L), clamp(end - at - L));
    }
    const int left = int(n - j < L ? n - j : L);
    store_n(even + j, even_lanes<T>(a, b), left);
    store_n(odd + j, odd_lanes<T>(a, b), left);
  }
}
template <class T>
static void pack_planes_of_phases(const PackRegion<T>& p) {
  const int64_t first = p.x.first + (p.x.phase[0] < p.x.phase[1] ? p.x.phase[0] : p.x.phase[1]);
  const int64_t plane = p.y.count * p.x_pitch, swapped = p.x.phase[0] < p.x.phase[1] ? 0 : 1;
  for (int64_t c = 0; c < p.channels; c++) {
    const T* channel = p.src + c * p.channel_stride;
    T* dst = p.dst + c * p.channel_pitch;
    for (int64_t pz = 0; pz < p.z.phases; pz++) {
      const PackSpan sz = pack_span(p.z, pz);
      for (int64_t z = 0; z < p.z.count; z++) {
        const bool z_inside = z >= sz.begin && z < sz.end;
        const T* slice = channel + (z_inside ? (sz.start + z * p.z.step) * p.z.stride : 0);
        for (int64_t py = 0; py < p.y.phases; py++, dst += 2 * plane) {
          const PackSpan sy = pack_span(p.y, py);
          T *even = dst + swapped * plane, *odd = dst + (1 - swapped) * plane;
          for (int64_t y = 0; y < p.y.count; y++, even += p.x_pitch, odd += p.x_pitch) {
            const bool inside = z_inside && y >= sy.begin && y < sy.end;
            const T* row = slice + (inside ? (sy.start + y * p.y.step) * p.y.stride : 0) + first;
            pack_phases(row, -first, inside ? p.x.size - first : -first, even, odd, p.x_pitch);
          }
        }
      }
    }
  }
}

template <class T>
static void pack_planes(const PackRegion<T>& p) {
  if (p.channel_stride == 1 && p.channels >= 4 && p.x.stride != 1) return pack_pixels_as_planes(p);
  if (p.x.stride == 1 && p.x.step == 2 && p.x.phases == 2) return pack_planes_of_phases(p);
  pack_planes_by(
      p, 1, [](T* dst, int64_t n) { zero_run(dst, n); },
      [](int64_t, const T* row, int64_t step, T* dst, int64_t begin, int64_t end, int64_t n) {
        pack_row(row, step, dst, begin, end, n);
      });
}

// pack(row, step, dst, n) packs n pixels of a row, `step` apart; blank(dst, n) writes n elements outside the source.
template <class T, class S, class Blank, class Pack>
KONV_INLINE void pack_pixels_by(const PackRegion<T, S>& p, Blank&& blank, Pack&& pack) {
  T* dst = p.dst;
  const int64_t row_size = p.x_pitch * p.channel_pitch;
  for (int64_t pz = 0; pz < p.z.phases; pz++) {
    const PackSpan sz = pack_span(p.z, pz);
    for (int64_t z = 0; z < p.z.count; z++) {
      const bool z_inside = z >= sz.begin && z < sz.end;
      const S* slice = p.src + (z_inside ? (sz.start + z * p.z.step) * p.z.stride : 0);
      for (int64_t py = 0; py < p.y.phases; py++) {
        const PackSpan sy = pack_span(p.y, py);
        for (int64_t px = 0; px < p.x.phases; px++) {
          const PackSpan sx = pack_span(p.x, px);
          const int64_t step = p.x.step * p.x.stride;
          for (int64_t y = 0; y < p.y.count; y++, dst += row_size) {
            if (!z_inside || y < sy.begin || y >= sy.end || sx.begin == sx.end) {
              blank(dst, row_size);
              continue;
            }
            const S* row = slice + (sy.start + y * p.y.step) * p.y.stride + sx.start * p.x.stride;
            const int64_t n = sx.end - sx.begin;
            T* d = dst + sx.begin * p.channel_pitch;
            blank(dst, sx.begin * p.channel_pitch);
            blank(dst + sx.end * p.channel_pitch, (p.x_pitch - sx.end) * p.channel_pitch);
            pack(row + sx.begin * step, step, d, n);
          }
        }
      }
    }
  }
}
template <class T>
static void pack_pixels(const PackRegion<T>& p) {
  const auto blank = [](T* dst, int64_t n) { zero_run(dst, n); };
  pack_pixels_by(p, blank, [&](const T* row, int64_t step, T* d, int64_t n) {
    if (p.channel_stride == 1 && step == p.channels && p.channel_pitch == p.channels) {
      copy_run(row, d, n * p.channels);
    } else if (p.channel_stride == 1) {
      for (int64_t x = 0; x < n; x++) {
        copy_run(row + x * step, d + x * p.channel_pitch, p.channels);
        zero_run(d + x * p.channel_pitch + p.channels, p.channel_pitch - p.channels);
      }
    } else if (step == 1) {
      transpose(row, p.channel_stride, p.channels, n, d, p.channel_pitch);
    } else if (step == 2) {
      transpose_to<T, 2>(row, p.channel_stride, p.channels, n, [=](int64_t x) { return d + x * p.channel_pitch; });
    } else {
      for (int64_t x = 0; x < n; x++)
        for (int64_t c = 0; c < p.channels; c++) d[x * p.channel_pitch + c] = row[x * step + c * p.channel_stride];
    }
  });
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
