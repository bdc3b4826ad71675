// The transforms of Winograd's minimal filtering F(m x m, 3 x 3) (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", CVPR 2016), channels in the lanes.
//
// F(4, 3) interpolates at 0, +-3/4, +-3/2 and infinity: the error is a third of that at the usual 0, +-1, +-2, at the
// same number of operations (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for
// Deep Neural Networks", ACM TOMS 46, 2020, on the choice of points).
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T, int M>
struct Winograd;

template <class T>
struct Winograd<T, 4> {
  static constexpr double a = 0.75, b = 1.5, aa = a * a, bb = b * b;

  KONV_INLINE void input(const Vec<T>* d, Vec<T>* o) {
    const Vec<T> va = splat(T(a)), vb = splat(T(b)), vaa = splat(T(aa)), vbb = splat(T(bb));
    const Vec<T> product = splat(T(aa * bb)), sum = splat(T(aa + bb));
    const Vec<T> p = d[4] - vbb * d[2], q = d[3] - vbb * d[1], r = d[4] - vaa * d[2], s = d[3] - vaa * d[1];
    o[0] = (d[4] - sum * d[2]) + product * d[0];
    o[1] = p + va * q;
    o[2] = p - va * q;
    o[3] = r + vb * s;
    o[4] = r - vb * s;
    o[5] = (d[5] - sum * d[3]) + product * d[1];
  }
  KONV_INLINE void output(const Vec<T>* m, Vec<T>* o) {
    const Vec<T> even1 = m[1] + m[2], odd1 = m[1] - m[2], even2 = m[3] + m[4], odd2 = m[3] - m[4];
    o[0] = (m[0] + even1) + even2;
    o[1] = splat(T(a)) * odd1 + splat(T(b)) * odd2;
    o[2] = splat(T(aa)) * even1 + splat(T(bb)) * even2;
    o[3] = (m[5] + splat(T(aa * a)) * odd1) + splat(T(bb * b)) * odd2;
  }
  KONV_INLINE void weights(const Vec<T>* g, Vec<T>* o) {
    constexpr double fa = 1 / (2 * aa * (aa - bb)), fb = 1 / (2 * bb * (bb - aa));
    const Vec<T> ea = splat(T(fa)) * g[0] + splat(T(fa * aa)) * g[2], oa = splat(T(fa * a)) * g[1];
    const Vec<T> eb = splat(T(fb)) * g[0] + splat(T(fb * bb)) * g[2], ob = splat(T(fb * b)) * g[1];
    o[0] = splat(T(1 / (aa * bb))) * g[0];
    o[1] = ea + oa;
    o[2] = ea - oa;
    o[3] = eb + ob;
    o[4] = eb - ob;
    o[5] = g[2];
  }
};

template <class T>
struct Winograd<T, 2> {
  KONV_INLINE void input(const Vec<T>* d, Vec<T>* o) {
    o[0] = d[0] - d[2];
    o[1] = d[1] + d[2];
    o[2] = d[2] - d[1];
    o[3] = d[1] - d[3];
  }
  KONV_INLINE void output(const Vec<T>* m, Vec<T>* o) {
    o[0] = (m[0] + m[1]) + m[2];
    o[1] = (m[1] - m[2]) - m[3];
  }
  KONV_INLINE void weights(const Vec<T>* g, Vec<T>* o) {
    const Vec<T> half = splat(T(0.5)), even = half * (g[0] + g[2]), odd = half * g[1];
    o[0] = g[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = g[2];
  }
};

template <class T, int M>
static void winograd_input(const WinogradInput<T>& w) {
  constexpr int L = kLanes<T>, N = M + 2;
  for (int64_t i = 0, tile = 0; i < w.rows; i++)
    for (int64_t j = 0; j < w.cols; j++, tile++) {
      const T* src = w.src + i * M * w.row_pitch + j * M * w.pixel_pitch;
      T* dst = w.dst + tile * w.tile_pitch;
      for (int64_t c = 0; c < w.channels; c += L) {
        Vec<T> t[N][N];  // [column][row after the first transform]
        KONV_UNROLL
        for (int x = 0; x < N; x++) {
          Vec<T> d[N];
          KONV_UNROLL
          for (int y = 0; y < N; y++) d[y] = load(src + y * w.row_pitch + x * w.pixel_pitch + c);
          Winograd<T, M>::input(d, t[x]);
        }
        KONV_UNROLL
        for (int y = 0; y < N; y++) {
          Vec<T> d[N], o[N];
          KONV_UNROLL
          for (int x = 0; x < N; x++) d[x] = t[x][y];
          Winograd<T, M>::input(d, o);
          KONV_UNROLL
          for (int x = 0; x < N; x++) store(dst + (y * N + x) * w.point_pitch + c, o[x]);
        }
      }
    }
}

template <class T, int M>
static void winograd_output(const WinogradOutput<T>& w) {
  constexpr int L = kLanes<T>, N = M + 2;
  for (int64_t i = 0, tile = 0; i < w.rows; i++)
    for (int64_t j = 0; j < w.cols; j++, tile++)
      for (int v = 0; v < w.vectors; v++) {
        const T* src = w.src + tile * w.tile_pitch + v * L;
        T* dst = w.dst + i * M * w.row_pitch + j * M * w.pixel_pitch + v * L;
        const Vec<T> bias = w.bias ? load(w.bias + v * L) : Vec<T>{};
        Vec<T> t[N][M];
        KONV_UNROLL
        for (int x = 0; x < N; x++) {
          Vec<T> m[N];
          KONV_UNROLL
          for (int y = 0; y < N; y++) m[y] = load(src + (y * N + x) * w.point_pitch);
          Winograd<T, M>::output(m, t[x]);
        }
        KONV_UNROLL
        for (int y = 0; y < M; y++) {
          Vec<T> m[N], o[M];
          KONV_UNROLL
          for (int x = 0; x < N; x++) m[x] = t[x][y];
          Winograd<T, M>::output(m, o);
          KONV_UNROLL
          for (int x = 0; x < M; x++) {
            const Vec<T> sum = o[x] + bias;
            store(dst + y * w.row_pitch + x * w.pixel_pitch, w.relu ? relu<T>(sum) : sum);
          }
        }
      }
}

template <class T, int M>
static void winograd_weights(const WinogradWeights<T>& w) {
  constexpr int L = kLanes<T>, N = M + 2;
  for (int64_t c = 0; c < w.channels; c++)
    for (int v = 0; v < w.vectors; v++) {
      const T* src = w.src + c * w.src_channel + v * L;
      T* dst = w.dst + c * w.channel_pitch + v * L;
      Vec<T> t[3][N];
      KONV_UNROLL
      for (int s = 0; s < 3; s++) {
        Vec<T> g[3];
        KONV_UNROLL
        for (int r = 0; r < 3; r++) g[r] = load(src + w.tap[3 * r + s]);
        Winograd<T, M>::weights(g, t[s]);
      }
      KONV_UNROLL
      for (int y = 0; y < N; y++) {
        Vec<T> g[3] = {t[0][y], t[1][y], t[2][y]}, o[N];
        Winograd<T, M>::weights(g, o);
        KONV_UNROLL
        for (int x = 0; x < N; x++) store(dst + (y * N + x) * w.point_pitch, o[x]);
      }
    }
}

template <class T>
static void winograd_input4(const WinogradInput<T>& w) {
  winograd_input<T, 4>(w);
}
template <class T>
static void winograd_input2(const WinogradInput<T>& w) {
  winograd_input<T, 2>(w);
}
template <class T>
static void winograd_output4(const WinogradOutput<T>& w) {
  winograd_output<T, 4>(w);
}
template <class T>
static void winograd_output2(const WinogradOutput<T>& w) {
  winograd_output<T, 2>(w);
}
template <class T>
static void winograd_weights4(const WinogradWeights<T>& w) {
  winograd_weights<T, 4>(w);
}
template <class T>
static void winograd_weights2(const WinogradWeights<T>& w) {
  winograd_weights<T, 2>(w);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
