#include "tests/torture/allocation.h"

#include <cerrno>
#include <cstdlib>
#include <new>

namespace {

uint64_t fail_index = 0;
bool fail_forever = false;
bool is_counting = false;
uint64_t count = 0;
bool has_failed = false;
int64_t living = 0;

bool refuse() {
  if (!is_counting) return false;
  ++count;
  if (fail_index == 0 || count < fail_index || (count > fail_index && !fail_forever)) return false;
  has_failed = true;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {

// Millions of databases are made and thrown away; a deep stack trace for each allocation is most of the price.
const char* __asan_default_options();
const char* __asan_default_options() { return "malloc_context_size=4"; }

void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* old, size_t size);
void __real_free(void* block);

void* __wrap_malloc(size_t size) {
  if (refuse()) return nullptr;
  void* block = __real_malloc(size);
  if (block != nullptr) ++living;
  return block;
}
void* __wrap_calloc(size_t number, size_t size) {
  if (refuse()) return nullptr;
  void* block = __real_calloc(number, size);
  if (block != nullptr) ++living;
  return block;
}
void* __wrap_realloc(void* old, size_t size) {
  if (refuse()) return nullptr;
  void* block = __real_realloc(old, size);
  if (old == nullptr && block != nullptr) ++living;
  return block;
}
void __wrap_free(void* block) {
  if (block != nullptr) --living;
  __real_free(block);
}
}

namespace {

void* allocate(size_t size) {
  void* block = __wrap_malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* allocate_aligned(size_t size, std::align_val_t alignment) {
  if (refuse()) throw std::bad_alloc();
  const auto unit = static_cast<size_t>(alignment);
  void* block = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (block == nullptr) throw std::bad_alloc();
  ++living;
  return block;
}

}  // namespace

void* operator new(size_t size) { return allocate(size); }
void* operator new[](size_t size) { return allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return __wrap_malloc(size == 0 ? 1 : size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return __wrap_malloc(size == 0 ? 1 : size); }
void* operator new(size_t size, std::align_val_t alignment) { return allocate_aligned(size, alignment); }
void* operator new[](size_t size, std::align_val_t alignment) { return allocate_aligned(size, alignment); }
void operator delete(void* block) noexcept { __wrap_free(block); }
void operator delete[](void* block) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t) noexcept { __wrap_free(block); }
void operator delete[](void* block, size_t) noexcept { __wrap_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { __wrap_free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { __wrap_free(block); }

namespace nearfield::allocation {

void fail_at(uint64_t n, bool forever) {
  fail_index = n;
  fail_forever = forever;
  count = 0;
  has_failed = false;
}
void counting(bool on) { is_counting = on; }
uint64_t counted() { return count; }
bool failed() { return has_failed; }
int64_t alive() { return living; }

}  // namespace nearfield::allocation
