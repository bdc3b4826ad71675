// The transforms of Winograd's minimal filtering, channels in the lanes (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", CVPR 2016).
//
// The matrices follow from the points at which polynomials are evaluated, by Toom and Cook's construction. The points
// 0, +-11/16, +-11/8 and infinity have a third of the error of the usual 0, +-1, +-2, at the same number of operations
// (on the choice of points: Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for
// Deep Neural Networks", ACM TOMS 46, 2020). F(4, 2) has no points that keep its error near the others'.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// The finite points: zero, then pairs of +-p. The last point is infinity.
template <int N>
struct WinogradPoints;
template <>
struct WinogradPoints<1> {
  static constexpr double at[] = {0};
  static constexpr int pairs = 0;
};
template <>
struct WinogradPoints<4> {
  static constexpr double at[] = {0, 1, -1};
  static constexpr int pairs = 1;
};
template <>
struct WinogradPoints<6> {
  static constexpr double at[] = {0, 0.6875, -0.6875, 1.375, -1.375};
  static constexpr int pairs = 2;
};

constexpr double power(double x, int n) {
  double r = 1;
  for (int i = 0; i < n; i++) r *= x;
  return r;
}

// A point's row of evaluations 1, p, p^2, ...: N x K, transposed it is the output transform.
template <int N, int K>
struct WinogradEvaluation {
  static constexpr int rows = N, cols = K, pairs = WinogradPoints<N>::pairs;
  static constexpr double at(int i, int j) {
    return i == N - 1 ? (j == K - 1 ? 1.0 : 0.0) : power(WinogradPoints<N>::at[i], j);
  }
};
// The same, divided by the point's distances from the others: the weights' transform.
template <int N, int R>
struct WinogradWeightMatrix {
  static constexpr int rows = N, cols = R, pairs = WinogradPoints<N>::pairs;
  static constexpr double at(int i, int j) {
    double scale = 1;
    for (int k = 0; i < N - 1 && k < N - 1; k++)
      if (k != i) scale *= WinogradPoints<N>::at[i] - WinogradPoints<N>::at[k];
    return WinogradEvaluation<N, R>::at(i, j) / scale;
  }
};
// Coefficients of the product of (x - p) over all other finite points: the input's transform.
template <int N>
struct WinogradInputMatrix {
  static constexpr int rows = N, cols = N, pairs = WinogradPoints<N>::pairs;
  static constexpr double at(int i, int j) {
    double c[N + 1] = {1};
    int degree = 0;
    for (int k = 0; k < N - 1; k++)
      if (k != i) {
        for (int d = ++degree; d > 0; d--) c[d] = c[d - 1] - WinogradPoints<N>::at[k] * c[d];
        c[0] *= -WinogradPoints<N>::at[k];
      }
    return j <= degree ? c[j] : 0.0;
  }
};

// What two rows of a matrix have in common, and by what they differ from that.
template <class Matrix, int Row, int Sign>
struct HalfOfPair {
  static constexpr int cols = Matrix::cols;
  static constexpr double at(int j) { return (Matrix::at(Row, j) + Sign * Matrix::at(Row + 1, j)) / 2; }
};
template <class Matrix, int Row>
struct WholeRow {
  static constexpr int cols = Matrix::cols;
  static constexpr double at(int j) { return Matrix::at(Row, j); }
};
// A row of the transposed matrix, over the sums and differences of paired columns.
template <class Matrix, int Col>
struct PairedColumn {
  static constexpr int cols = Matrix::rows;
  static constexpr double at(int i) {
    if (i == 0 || i > 2 * Matrix::pairs) return Matrix::at(i, Col);
    const int plus = (i - 1) / 2 * 2 + 1;
    return (Matrix::at(plus, Col) + (i == plus ? 1 : -1) * Matrix::at(plus + 1, Col)) / 2;
  }
};

template <class Row>
constexpr bool nothing_from(int j) {
  for (; j < Row::cols; j++)
    if (Row::at(j) != 0) return false;
  return true;
}
// Sum over j of Row::at(j) * d[j], without the zeros.
template <class T, class Row, int J = 0>
KONV_INLINE Vec<T> weighted_sum(const Vec<T>* d) {
  if constexpr (nothing_from<Row>(J)) {
    return Vec<T>{};
  } else if constexpr (Row::at(J) == 0) {
    return weighted_sum<T, Row, J + 1>(d);
  } else if constexpr (nothing_from<Row>(J + 1)) {
    return Row::at(J) == 1 ? d[J] : splat(T(Row::at(J))) * d[J];
  } else {
    const Vec<T> rest = weighted_sum<T, Row, J + 1>(d);
    return Row::at(J) == 1 ? rest + d[J] : rest + splat(T(Row::at(J))) * d[J];
  }
}

// o = Matrix d
template <class T, class Matrix, int I = 0>
KONV_INLINE void multiply_by(const Vec<T>* d, Vec<T>* o) {
  if constexpr (I < Matrix::rows) {
    if constexpr (I >= 1 && I <= 2 * Matrix::pairs) {
      const Vec<T> common = weighted_sum<T, HalfOfPair<Matrix, I, 1>>(d);
      const Vec<T> difference = weighted_sum<T, HalfOfPair<Matrix, I, -1>>(d);
      o[I] = common + difference;
      o[I + 1] = common - difference;
      multiply_by<T, Matrix, I + 2>(d, o);
    } else {
      o[I] = weighted_sum<T, WholeRow<Matrix, I>>(d);
      multiply_by<T, Matrix, I + 1>(d, o);
    }
  }
}

template <class T, class Matrix, int J = 0>
KONV_INLINE void multiply_paired(const Vec<T>* m, Vec<T>* o) {
  if constexpr (J < Matrix::cols) {
    o[J] = weighted_sum<T, PairedColumn<Matrix, J>>(m);
    multiply_paired<T, Matrix, J + 1>(m, o);
  }
}
// o = transpose of Matrix, m
template <class T, class Matrix>
KONV_INLINE void multiply_by_transpose(const Vec<T>* m, Vec<T>* o) {
  Vec<T> p[Matrix::rows];
  KONV_UNROLL
  for (int i = 0; i < Matrix::rows; i++) p[i] = m[i];
  KONV_UNROLL
  for (int i = 1; i < 2 * Matrix::pairs; i += 2) p[i] = m[i] + m[i + 1], p[i + 1] = m[i] - m[i + 1];
  multiply_paired<T, Matrix>(p, o);
}

// Patches of pixels, MY rows and MX columns apart, times a matrix from each side.
template <class T, class MatrixY, class MatrixX, int MY, int MX>
KONV_INLINE void transform_patches(const WinogradInput<T>& w) {
  constexpr int L = kLanes<T>, NY = MatrixY::rows, NX = MatrixX::rows, Height = MatrixY::cols, Width = MatrixX::cols;
  for (int64_t i = 0, tile = 0; i < w.rows; i++)
    for (int64_t j = 0; j < w.cols; j++, tile++) {
      const T* src = w.src + i * MY * w.row_pitch + j * MX * w.pixel_pitch;
      T* dst = w.dst + tile * w.tile_pitch;
      for (int64_t c = 0; c < w.channels; c += L) {
        Vec<T> t[Width][NY];
        KONV_UNROLL
        for (int x = 0; x < Width; x++) {
          Vec<T> d[Height];
          KONV_UNROLL
          for (int y = 0; y < Height; y++) d[y] = load(src + y * w.row_pitch + x * w.pixel_pitch + c);
          multiply_by<T, MatrixY>(d, t[x]);
        }
        KONV_UNROLL
        for (int y = 0; y < NY; y++) {
          Vec<T> d[Width], o[NX];
          KONV_UNROLL
          for (int x = 0; x < Width; x++) d[x] = t[x][y];
          multiply_by<T, MatrixX>(d, o);
          KONV_UNROLL
          for (int x = 0; x < NX; x++) store(dst + (y * NX + x) * w.point_pitch + c, o[x]);
        }
      }
    }
}

template <class T, int MY, int MX, int RY, int RX>
static void winograd_input(const WinogradInput<T>& w) {
  transform_patches<T, WinogradInputMatrix<MY + RY - 1>, WinogradInputMatrix<MX + RX - 1>, MY, MX>(w);
}
template <class T>
static void winograd_gradient(const WinogradInput<T>& w) {
  transform_patches<T, WinogradEvaluation<6, 4>, WinogradEvaluation<6, 4>, 4, 4>(w);
}

template <class T, int MY, int MX, int RY, int RX>
static void winograd_output(const WinogradOutput<T>& w) {
  constexpr int L = kLanes<T>, NY = MY + RY - 1, NX = MX + RX - 1;
  for (int64_t i = 0, tile = 0; i < w.rows; i++)
    for (int64_t j = 0; j < w.cols; j++, tile++)
      for (int v = 0; v < w.vectors; v++) {
        const T* src = w.src + tile * w.tile_pitch + v * L;
        T* dst = w.dst + i * MY * w.row_pitch + j * MX * w.pixel_pitch + v * L;
        const Vec<T> bias = w.bias ? load(w.bias + v * L) : Vec<T>{};
        Vec<T> t[NX][MY];
        KONV_UNROLL
        for (int x = 0; x < NX; x++) {
          Vec<T> m[NY];
          KONV_UNROLL
          for (int y = 0; y < NY; y++) m[y] = load(src + (y * NX + x) * w.point_pitch);
          multiply_by_transpose<T, WinogradEvaluation<NY, MY>>(m, t[x]);
        }
        KONV_UNROLL
        for (int y = 0; y < MY; y++) {
          Vec<T> m[NX], o[MX];
          KONV_UNROLL
          for (int x = 0; x < NX; x++) m[x] = t[x][y];
          multiply_by_transpose<T, WinogradEvaluation<NX, MX>>(m, o);
          KONV_UNROLL
          for (int x = 0; x < MX; x++) {
            const Vec<T> sum = o[x] + bias;
            store(dst + y * w.row_pitch + x * w.pixel_pitch, clip<T>(sum, w.clip));
          }
        }
      }
}

template <class T, int MY, int MX, int RY, int RX>
static void winograd_weights(const WinogradWeights<T>& w) {
  constexpr int L = kLanes<T>, NY = MY + RY - 1, NX = MX + RX - 1;
  for (int64_t c = 0; c < w.channels; c++)
    for (int v = 0; v < w.vectors; v++) {
      const T* src = w.src + c * w.src_channel + v * L;
      T* dst = w.dst + c * w.channel_pitch + v * L;
      Vec<T> t[RX][NY];
      KONV_UNROLL
      for (int x = 0; x < RX; x++) {
        Vec<T> g[RY];
        KONV_UNROLL
        for (int y = 0; y < RY; y++) g[y] = w.tap[y * RX + x] < 0 ? Vec<T>{} : load(src + w.tap[y * RX + x]);
        multiply_by<T, WinogradWeightMatrix<NY, RY>>(g, t[x]);
      }
      KONV_UNROLL
      for (int y = 0; y < NY; y++) {
        Vec<T> g[RX], o[NX];
        KONV_UNROLL
        for (int x = 0; x < RX; x++) g[x] = t[x][y];
        multiply_by<T, WinogradWeightMatrix<NX, RX>>(g, o);
        KONV_UNROLL
        for (int x = 0; x < NX; x++) store(dst + (y * NX + x) * w.point_pitch, o[x]);
      }
    }
}

template <class T>
static void winograd_taps(const WinogradTaps<T>& w) {
  constexpr int L = kLanes<T>, N = 6;
  using Matrix = WinogradWeightMatrix<N, 3>;
  for (int64_t c = 0; c < w.channels; c++)
    for (int64_t k = 0; k < w.outputs; k += L) {
      const T* src = w.src + c * w.src_channel + k;
      T* dst = w.dst + c * w.dst_channel + k;
      Vec<T> t[N][3];
      KONV_UNROLL
      for (int x = 0; x < N; x++) {
        Vec<T> m[N];
        KONV_UNROLL
        for (int y = 0; y < N; y++) m[y] = load(src + (y * N + x) * w.point_pitch);
        multiply_by_transpose<T, Matrix>(m, t[x]);
      }
      KONV_UNROLL
      for (int r = 0; r < 3; r++) {
        Vec<T> m[N], o[3];
        KONV_UNROLL
        for (int x = 0; x < N; x++) m[x] = t[x][r];
        multiply_by_transpose<T, Matrix>(m, o);
        KONV_UNROLL
        for (int s = 0; s < 3; s++) store(dst + (3 * r + s) * w.dst_tap, o[s]);
      }
    }
}

template <class T>
constexpr void fill_winograd(Kernels<T>& k) {
  int i = 0;
#define KONV_WINOGRAD_FORM(my, mx, ry, rx)                   \
  k.winograd_input[i] = winograd_input<T, my, mx, ry, rx>;   \
  k.winograd_output[i] = winograd_output<T, my, mx, ry, rx>; \
  k.winograd_weights[i++] = winograd_weights<T, my, mx, ry, rx>;
  KONV_WINOGRAD_FORMS(KONV_WINOGRAD_FORM)
#undef KONV_WINOGRAD_FORM
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
