// Rows as bytes: a batch of one collection in columns, for segments and log records.
//
// A batch is a list of named sections (core/base/section.h); a column that would be empty is left out. Decoding checks
// that the columns agree with each other; whether the points are good ones is for Collection::check to say.
#pragma once

#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/base/section.h"
#include "core/collection/collection.h"
#include "storage/format.h"

namespace nearfield {

// Collects deletes, then rows, and writes them as one batch.
class RowEncoder {
 public:
  void add_delete(std::string_view id);
  void add_row(const RowView& row);
  bool empty() const { return delete_ends_.empty() && id_ends_.empty(); }
  bool has_rows() const { return !id_ends_.empty(); }
  size_t rows() const { return id_ends_.size(); }
  // About what finish() will take.
  size_t size() const;
  // Appends the batch to `out` and starts anew.
  void finish(Bytes& out);

 private:
  std::vector<uint32_t> delete_ends_, id_ends_, text_ends_, payload_ends_;
  Bytes deletes_, ids_, texts_, payloads_;
  std::vector<uint8_t> has_vector_;
  std::vector<float> vectors_;
  size_t dimension_ = 0;
};

// The columns where they lie in `bytes`. Fails with kFormatError.
Result<RowColumns> view_rows(ByteView bytes);
// A copy of them, point by point.
Result<Batch> decode_rows(ByteView bytes);

RowView row_view(const Point& point);
// About what a batch takes once encoded.
size_t encoded_size(const Batch& batch);

// What a manifest says about a segment. `rows` counts rows, `deletes` deleted ids.
struct SegmentEntry {
  SealedFile file;
  uint64_t rows = 0;
  uint64_t deletes = 0;
  bool operator==(const SegmentEntry&) const = default;
};

// Where a frame of rows stands.
struct FramePlace {
  uint64_t file = 0;
  uint64_t offset = 0;
  uint64_t checksum = 0;
  uint32_t bytes = 0;  // header and padding included
  uint32_t rows = 0;
};

// Builds one segment file at a time. Frames are batches of about so many bytes, applied in order when the file is read,
// so the rows of a collection come back in the order, and under the numbers, in which they were added here.
class SegmentBuilder {
 public:
  SegmentBuilder(uint64_t collection, uint64_t file_number, size_t frame_bytes = kFrameBytes);
  // For the next file of the same collection.
  void restart(uint64_t file_number) { *this = SegmentBuilder(collection_, file_number, frame_bytes_); }
  void add_delete(std::string_view id);
  // `superseded`: a later row or delete has the same id.
  void add_row(const RowView& row, bool superseded);
  bool empty() const { return entry_.rows == 0 && entry_.deletes == 0; }
  bool full() const { return file_.size() + encoder_.size() >= kSegmentBytes; }
  SegmentEntry seal();
  Bytes take() { return file_.take(); }
  // Those of the file so far.
  const std::vector<FramePlace>& frames() const { return frames_; }

 private:
  void cut_frame();

  uint64_t collection_;
  uint64_t file_number_;
  size_t frame_bytes_;
  SealedWriter file_;
  std::vector<FramePlace> frames_;
  RowEncoder encoder_;
  SegmentEntry entry_;
  std::unordered_set<std::string> superseded_;  // ids in the open frame that may come again
};

}  // namespace nearfield
