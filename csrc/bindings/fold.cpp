#include "bindings/fold.h"

#include <algorithm>

#include "core/config.h"
#include "pool/fold.h"

namespace konv {

namespace {

constexpr DTypeSet kAll = (1u << kDTypes) - 1, kNumbers = kAll & ~set_of({DType::boolean});
constexpr double kTinyBytes = 32 << 10;

// The number of spatial dimensions: as many as a tuple has sizes, or the layout letters; else `otherwise`.
int spatial_of(PyObject* layout, std::initializer_list<PyObject*> sizes, int otherwise) {
  if (const int named = named_dimensions(layout)) return named;
  for (PyObject* size : sizes)
    if (PyTuple_Check(size) || PyList_Check(size)) return std::clamp(int(PySequence_Fast_GET_SIZE(size)), 1, 3);
  return std::clamp(otherwise, 1, 3);
}

struct Windows {
  PyObject *kernel_size, *dilation, *padding, *stride, *threads;
};
// Everything but channels and strides; p.in is the image.
void set_windows(FoldProblem& p, int spatial, const Windows& w, const char* image_name) {
  p.isa = config().isa, p.keep_denormals = config().keep_denormals;
  spatial_arg(w.kernel_size, "kernel_size", spatial, 1, p.kernel);
  spatial_arg(w.dilation, "dilation", spatial, 1, p.dilation);
  spatial_arg(w.stride, "stride", spatial, 1, p.stride);
  p.threads = threads_arg(w.threads);
  int64_t extent[3], after[3];
  for (int i = 0; i < 3; i++) extent[i] = (p.kernel[i] - 1) * p.dilation[i] + 1;
  padding_arg(w.padding, spatial).resolve(p.in, extent, p.stride, p.pad, after);
  double elements = 1;
  for (int i = 0; i < 3; i++) {
    if (p.in[i] < 1) value_error("%s: expected spatial sizes of at least 1", image_name);
    const int64_t padded = p.in[i] + p.pad[i] + after[i];
    if (padded < extent[i])
      value_error("kernel_size: %lld elements with dilation %lld span %lld, but the padded %s has %lld",
                  Wide(p.kernel[i]), Wide(p.dilation[i]), Wide(extent[i]), image_name, Wide(padded));
    p.out[i] = (padded - extent[i]) / p.stride[i] + 1;
    elements *= double(p.out[i]) * double(p.kernel[i]);
  }
  if (elements * double(std::max<int64_t>(1, p.n)) * double(std::max<int64_t>(1, p.c)) > double(int64_t(1) << 58))
    value_error("kernel_size: there would be more than 2^58 elements");
}

bool is_large(const FoldProblem& p) {
  return double(p.n * p.c) * double(p.taps() * p.windows()) * double(dtype_size(p.dtype)) > kTinyBytes;
}

// input, kernel_size, dilation, padding, stride, layout, out, threads, max_workspace
PyObject* unfold(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kAll);
  const int spatial = spatial_of(a[5], {a[1]}, x.ndim <= 2 ? 1 : x.ndim <= 4 ? 2 : 3);
  const Layout layout = layout_arg(a[5], spatial), columns{1, false};
  const View v = view_of(x, layout, "input");
  FoldProblem p{};
  p.dtype = x.dtype;
  p.n = v.shape[0], p.c = v.shape[1];
  if (p.c < 1) value_error("input: expected at least one channel");
  std::copy_n(v.shape + 2, 3, p.in);
  std::copy_n(v.strides, 5, p.xs);
  set_windows(p, spatial, {a[1], a[2], a[3], a[4], a[7]}, "input");
  max_workspace_arg(a[8]);
  const int64_t shape[5] = {p.n, p.c * p.taps(), 1, 1, p.windows()};
  Ref out = a[6] == Py_None ? new_array(p.dtype, shape, columns, v.batched, false)
                            : out_arg(a[6], p.dtype, shape, columns, v.batched, {a[0]});
  int64_t strides[5];
  strides_of(out.array(), columns, v.batched, strides);
  p.columns[0] = strides[0], p.columns[1] = strides[1], p.columns[2] = strides[4];
  ReleaseGil release(is_large(p));
  konv::unfold(p, x.data, PyArray_DATA(out.array()));
  return out.release();
}

// input, output_size, kernel_size, dilation, padding, stride, layout, out, threads, max_workspace
PyObject* fold(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kNumbers);
  const int spatial = spatial_of(a[6], {a[1], a[2]}, 2);
  const Layout layout = layout_arg(a[6], spatial);
  if (x.ndim != 3 && x.ndim != 2)
    value_error("input: expected shape (N, C * kernel elements, windows), or without N, got %s",
                shape_text(x.ndim, x.shape).c_str());
  const View v = view_of(x, Layout{1, false}, "input");
  FoldProblem p{};
  p.dtype = x.dtype;
  spatial_arg(a[1], "output_size", spatial, 1, p.in);
  set_windows(p, spatial, {a[2], a[3], a[4], a[5], a[8]}, "output_size");
  max_workspace_arg(a[9]);
  p.n = v.shape[0], p.c = v.shape[1] / p.taps();
  if (p.c < 1 || v.shape[1] % p.taps())
    value_error("input: expected a multiple of the kernel's %lld elements as channels, got shape %s", Wide(p.taps()),
                shape_text(x.ndim, x.shape).c_str());
  if (v.shape[4] != p.windows())
    value_error("input: expected %lld windows of output_size, got shape %s", Wide(p.windows()),
                shape_text(x.ndim, x.shape).c_str());
  p.columns[0] = v.strides[0], p.columns[1] = v.strides[1], p.columns[2] = v.strides[4];
  const int64_t shape[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  Ref out = a[7] == Py_None ? new_array(p.dtype, shape, layout, v.batched, false)
                            : out_arg(a[7], p.dtype, shape, layout, v.batched, {a[0]});
  strides_of(out.array(), layout, v.batched, p.xs);
  ReleaseGil release(is_large(p));
  konv::fold(p, x.data, PyArray_DATA(out.array()));
  return out.release();
}

}  // namespace

PyMethodDef fold_methods[] = {entry<9, unfold, "unfold">(), entry<10, fold, "fold">(), {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
