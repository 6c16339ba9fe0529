#include "storage/rows.h"

#include <string>

namespace nearfield {

namespace {

Error malformed(std::string what) { return {Code::kFormatError, "rows: " + std::move(what), ""}; }

void append(std::string_view text, std::vector<uint32_t>& ends, Bytes& bytes) {
  bytes.insert(bytes.end(), text.begin(), text.end());
  ends.push_back(static_cast<uint32_t>(bytes.size()));
}

template <FixedWidth T>
void put_column(std::string_view name, const std::vector<T>& values, Sections& sections) {
  if (!values.empty()) sections.push_back(make_section(name, std::span(values)));
}

// The elements of a column; a column that was left out has none.
template <FixedWidth T>
Result<Elements<T>> column(const SectionViews& sections, std::string_view name) {
  if (sections.find(name) == nullptr) return Elements<T>();
  return section_elements<T>(sections, name);
}

Result<StringColumn> strings(const SectionViews& sections, std::string_view ends_name, std::string_view bytes_name) {
  ASSIGN_OR_RETURN(const auto ends, column<uint32_t>(sections, ends_name));
  const SectionView* section = sections.find(bytes_name);
  const std::string_view bytes = section != nullptr ? as_text(section->bytes) : std::string_view();
  uint32_t last = 0;
  bool sorted = true;
  for (size_t i = 0; i < ends.size(); ++i) {
    const uint32_t end = ends[i];
    sorted = sorted && end >= last;
    last = end;
  }
  if (!sorted || last != bytes.size()) {
    return malformed(std::string(bytes_name) + " do not agree with " + std::string(ends_name));
  }
  return StringColumn(ends, bytes);
}

}  // namespace

void RowEncoder::add_delete(std::string_view id) {
  assert(!has_rows());
  append(id, delete_ends_, deletes_);
}

void RowEncoder::add_row(const RowView& row) {
  append(row.id, id_ends_, ids_);
  append(row.text, text_ends_, texts_);
  append(row.payload, payload_ends_, payloads_);
  has_vector_.push_back(row.vector.empty() ? 0 : 1);
  if (!row.vector.empty()) {
    assert(dimension_ == 0 || dimension_ == row.vector.size());
    dimension_ = row.vector.size();
    vectors_.insert(vectors_.end(), row.vector.begin(), row.vector.end());
  }
}

size_t RowEncoder::size() const {
  return deletes_.size() + ids_.size() + texts_.size() + payloads_.size() + vectors_.size() * sizeof(float) +
         delete_ends_.size() * sizeof(uint32_t) + id_ends_.size() * (3 * sizeof(uint32_t) + 1);
}

void RowEncoder::finish(Bytes& out) {
  Sections sections;
  put_column("delete_ends", delete_ends_, sections);
  put_column("deletes", deletes_, sections);
  put_column("id_ends", id_ends_, sections);
  put_column("ids", ids_, sections);
  if (!texts_.empty()) {
    put_column("text_ends", text_ends_, sections);
    put_column("texts", texts_, sections);
  }
  if (!payloads_.empty()) {
    put_column("payload_ends", payload_ends_, sections);
    put_column("payloads", payloads_, sections);
  }
  if (dimension_ != 0) {
    put_column("has_vector", has_vector_, sections);
    put_column("vectors", vectors_, sections);
    sections.back().shape = {vectors_.size() / dimension_, dimension_};
  }
  write_sections(sections, out);
  *this = RowEncoder();
}

Result<RowColumns> view_rows(ByteView bytes) {
  ASSIGN_OR_RETURN(const SectionViews sections, SectionViews::read(bytes));
  RowColumns columns;
  ASSIGN_OR_RETURN(columns.deletes, strings(sections, "delete_ends", "deletes"));
  ASSIGN_OR_RETURN(columns.ids, strings(sections, "id_ends", "ids"));
  ASSIGN_OR_RETURN(columns.texts, strings(sections, "text_ends", "texts"));
  ASSIGN_OR_RETURN(columns.payloads, strings(sections, "payload_ends", "payloads"));
  ASSIGN_OR_RETURN(columns.vector_flags, column<uint8_t>(sections, "has_vector"));
  ASSIGN_OR_RETURN(columns.vectors, column<float>(sections, "vectors"));

  const auto absent_or_full = [&](const auto& column) { return column.size() == 0 || column.size() == columns.rows(); };
  if (!absent_or_full(columns.texts) || !absent_or_full(columns.payloads) || !absent_or_full(columns.vector_flags)) {
    return malformed("the columns have different lengths");
  }
  size_t with_vector = 0;
  for (const uint8_t flag : columns.vector_flags.bytes()) {
    if (flag > 1) return malformed("a flag is not 0 or 1");
    with_vector += flag;
  }
  if (const SectionView* section = sections.find("vectors")) {
    if (section->shape.size() != 2 || section->shape[0] != with_vector || with_vector == 0 || columns.vectors.empty()) {
      return malformed("vectors have the wrong shape");
    }
    columns.dimension = columns.vectors.size() / with_vector;
  } else if (with_vector != 0) {
    return malformed("vectors are missing");
  }
  return columns;
}

Result<Batch> decode_rows(ByteView bytes) {
  ASSIGN_OR_RETURN(const RowColumns columns, view_rows(bytes));
  Batch batch;
  batch.deletes.reserve(columns.deletes.size());
  for (size_t i = 0; i < columns.deletes.size(); ++i) batch.deletes.emplace_back(columns.deletes[i]);
  batch.upserts.resize(columns.rows());
  size_t next_vector = 0;
  for (size_t row = 0; row < columns.rows(); ++row) {
    Point& point = batch.upserts[row];
    point.id = columns.ids[row];
    point.text = columns.texts[row];
    point.payload = columns.payloads[row];
    if (!columns.has_vector(row)) continue;
    point.vector = columns.vectors.subspan(next_vector, columns.dimension).copy();
    next_vector += columns.dimension;
  }
  return batch;
}

RowView row_view(const Point& point) { return {point.id, point.text, point.payload, point.vector}; }

size_t encoded_size(const Batch& batch) {
  size_t size = 0;
  for (const std::string& id : batch.deletes) size += id.size() + sizeof(uint32_t);
  for (const Point& point : batch.upserts) {
    size += point.id.size() + point.text.size() + point.payload.size() + point.vector.size() * sizeof(float) +
            3 * sizeof(uint32_t) + 1;
  }
  return size;
}

SegmentBuilder::SegmentBuilder(uint64_t collection, uint64_t file_number, size_t frame_bytes)
    : collection_(collection),
      file_number_(file_number),
      frame_bytes_(frame_bytes),
      file_({FileKind::kSegment, file_number, collection}) {}

void SegmentBuilder::add_delete(std::string_view id) {
  // Within a batch deletes come before rows, so a delete after rows opens the next batch.
  if (encoder_.has_rows() || encoder_.size() >= frame_bytes_) cut_frame();
  encoder_.add_delete(id);
  ++entry_.deletes;
}

void SegmentBuilder::add_row(const RowView& row, bool superseded) {
  // A batch names an id once; the later row of the same id opens the next batch.
  const bool repeated = !superseded_.empty() && superseded_.contains(std::string(row.id));
  if (repeated || encoder_.size() >= frame_bytes_) cut_frame();
  if (superseded) superseded_.emplace(row.id);
  encoder_.add_row(row);
  ++entry_.rows;
}

void SegmentBuilder::cut_frame() {
  if (encoder_.empty()) return;
  FramePlace place;
  place.file = file_number_;
  place.offset = file_.size();
  place.rows = static_cast<uint32_t>(encoder_.rows());
  Bytes payload;
  encoder_.finish(payload);
  place.checksum = file_.add(FrameType::kRows, payload);
  place.bytes = static_cast<uint32_t>(file_.size() - place.offset);
  frames_.push_back(place);
  superseded_.clear();
}

SegmentEntry SegmentBuilder::seal() {
  cut_frame();
  entry_.file = file_.seal();
  return entry_;
}

}  // namespace nearfield
