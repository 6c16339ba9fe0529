#include "storage/rows.h"

#include <algorithm>

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
Result<std::vector<T>> column(const Sections& sections, std::string_view name) {
  if (find_section(sections, name) == nullptr) return std::vector<T>();
  return section_values<T>(sections, name);
}

// A column of strings: views into `sections`.
Result<std::vector<std::string_view>> strings(const Sections& sections, std::string_view ends_name,
                                              std::string_view bytes_name) {
  ASSIGN_OR_RETURN(const auto ends, column<uint32_t>(sections, ends_name));
  const Section* section = find_section(sections, bytes_name);
  const std::string_view bytes = section != nullptr ? as_text(section->bytes) : std::string_view();
  if (!std::ranges::is_sorted(ends) || (ends.empty() ? 0 : ends.back()) != bytes.size()) {
    return malformed(std::string(bytes_name) + " do not agree with " + std::string(ends_name));
  }
  std::vector<std::string_view> out;
  out.reserve(ends.size());
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    out.push_back(bytes.substr(begin, end - begin));
    begin = end;
  }
  return out;
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

Result<Batch> decode_rows(ByteView bytes) {
  ASSIGN_OR_RETURN(const Sections sections, read_sections(bytes));
  ASSIGN_OR_RETURN(const auto deletes, strings(sections, "delete_ends", "deletes"));
  ASSIGN_OR_RETURN(const auto ids, strings(sections, "id_ends", "ids"));
  ASSIGN_OR_RETURN(const auto texts, strings(sections, "text_ends", "texts"));
  ASSIGN_OR_RETURN(const auto payloads, strings(sections, "payload_ends", "payloads"));
  ASSIGN_OR_RETURN(const auto has_vector, column<uint8_t>(sections, "has_vector"));
  ASSIGN_OR_RETURN(const auto vectors, column<float>(sections, "vectors"));

  const size_t rows = ids.size();
  const auto absent_or_full = [&](const auto& values) { return values.empty() || values.size() == rows; };
  if (!absent_or_full(texts) || !absent_or_full(payloads) || !absent_or_full(has_vector)) {
    return malformed("the columns have different lengths");
  }
  if (std::ranges::any_of(has_vector, [](uint8_t flag) { return flag > 1; })) return malformed("a flag is not 0 or 1");
  const auto with_vector = static_cast<uint64_t>(std::ranges::count(has_vector, 1));
  size_t dimension = 0;
  if (const Section* section = find_section(sections, "vectors")) {
    if (section->shape.size() != 2 || section->shape[0] != with_vector || with_vector == 0 || vectors.empty()) {
      return malformed("vectors have the wrong shape");
    }
    dimension = vectors.size() / static_cast<size_t>(with_vector);
  } else if (with_vector != 0) {
    return malformed("vectors are missing");
  }

  Batch batch;
  batch.deletes.assign(deletes.begin(), deletes.end());
  batch.upserts.resize(rows);
  auto next_vector = vectors.begin();
  for (size_t row = 0; row < rows; ++row) {
    Point& point = batch.upserts[row];
    point.id = ids[row];
    if (!texts.empty()) point.text = texts[row];
    if (!payloads.empty()) point.payload = payloads[row];
    if (!has_vector.empty() && has_vector[row] == 1) {
      point.vector.assign(next_vector, next_vector + static_cast<std::ptrdiff_t>(dimension));
      next_vector += static_cast<std::ptrdiff_t>(dimension);
    }
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

SegmentBuilder::SegmentBuilder(uint64_t collection, uint64_t file_number)
    : file_({FileKind::kSegment, file_number, collection}) {}

void SegmentBuilder::add_delete(std::string_view id) {
  // Within a batch deletes come before rows, so a delete after rows opens the next batch.
  if (encoder_.has_rows() || encoder_.size() >= kFrameBytes) cut_frame();
  encoder_.add_delete(id);
  ++entry_.deletes;
}

void SegmentBuilder::add_row(const RowView& row, bool superseded) {
  // A batch names an id once; the later row of the same id opens the next batch.
  const bool repeated = !superseded_.empty() && superseded_.contains(std::string(row.id));
  if (repeated || encoder_.size() >= kFrameBytes) cut_frame();
  if (superseded) superseded_.emplace(row.id);
  encoder_.add_row(row);
  ++entry_.rows;
}

void SegmentBuilder::cut_frame() {
  if (encoder_.empty()) return;
  Bytes payload;
  encoder_.finish(payload);
  file_.add(FrameType::kRows, payload);
  superseded_.clear();
}

SegmentEntry SegmentBuilder::seal() {
  cut_frame();
  entry_.file = file_.seal();
  return entry_;
}

}  // namespace nearfield
