#include "storage/format.h"

#include <catch_amalgamated.hpp>

#include "core/base/random.h"
#include "storage/log.h"
#include "storage/manifest.h"
#include "storage/rows.h"

using namespace nearfield;

namespace {

const FileIdentity kIdentity = {FileKind::kSegment, 42, 7};

Batch some_batch() {
  Batch batch;
  batch.deletes = {"gone",
                   "gr\xC3\xBC\xC3\x9F"
                   "e"};
  batch.upserts = {{"a", {1, 2, 3}, "text", "{\"n\":1}"}, {"b", {}, "", ""}, {"c", {0, -1, 4}, "", "{}"}};
  return batch;
}

Bytes encoded(const Batch& batch) {
  RowEncoder encoder;
  for (const auto& id : batch.deletes) encoder.add_delete(id);
  for (const Point& point : batch.upserts) encoder.add_row(row_view(point));
  Bytes out;
  encoder.finish(out);
  return out;
}

bool equal(const Batch& a, const Batch& b) {
  return a.deletes == b.deletes && std::ranges::equal(a.upserts, b.upserts, [](const Point& x, const Point& y) {
           return x.id == y.id && x.vector == y.vector && x.text == y.text && x.payload == y.payload;
         });
}

}  // namespace

TEST_CASE("file names carry kind and number") {
  CHECK(file_name(FileKind::kManifest, 42) == "manifest-000000000000002a");
  CHECK(file_name(FileKind::kLog, 0xabc) == "log-0000000000000abc");
  for (const FileKind kind : {FileKind::kManifest, FileKind::kSegment, FileKind::kIndex, FileKind::kLog}) {
    const auto named = parse_file_name(file_name(kind, 0x1234567890));
    REQUIRE(named);
    CHECK(named->kind == kind);
    CHECK(named->number == 0x1234567890);
  }
  for (const char* other : {"", "LOCK", "manifest-", "manifest-2a", "manifest-000000000000002A", "log-000000000000002g",
                            "log-0000000000000002a", "log-ffffffffffffffff", "segment-000000000000002a.tmp"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_file_name(other));
  }
}

TEST_CASE("headers say what a file is") {
  Bytes header;
  write_file_header(kIdentity, header);
  CHECK(header.size() == kFileHeaderBytes);
  const auto read = read_file_header(header, FileKind::kSegment, 42);
  REQUIRE(read.ok());
  CHECK(read.value().link == 7);
  CHECK(read_file_header(header, FileKind::kSegment, 43).code() == Code::kFormatError);
  CHECK(read_file_header(header, FileKind::kIndex, 42).code() == Code::kFormatError);
  for (size_t i = 0; i < header.size(); ++i) {
    Bytes damaged = header;
    damaged[i] ^= 0x10;
    CAPTURE(i);
    CHECK(read_file_header(damaged, FileKind::kSegment, 42).code() == Code::kFormatError);
    CHECK(read_file_header(ByteView(header).first(i), FileKind::kSegment, 42).code() == Code::kFormatError);
  }
}

TEST_CASE("a sealed file gives its frames back, and notices every damaged or missing byte") {
  SealedWriter writer(kIdentity);
  writer.add(FrameType::kRows, as_bytes("first"));
  writer.add(FrameType::kRows, {});
  writer.add(FrameType::kRows, as_bytes("twelve bytes"));
  const SealedFile sealed = writer.seal();
  const Bytes file = writer.take();
  CHECK(sealed.length == file.size());

  const auto frames = read_sealed(kIdentity, sealed, file);
  REQUIRE(frames.ok());
  REQUIRE(frames.value().size() == 3);
  CHECK(as_text(frames.value()[0].payload) == "first");
  CHECK(frames.value()[1].payload.empty());
  CHECK(as_text(frames.value()[2].payload) == "twelve bytes");

  for (size_t i = 0; i < file.size(); ++i) {
    CAPTURE(i);
    for (int bit = 0; bit < 8; ++bit) {
      Bytes damaged = file;
      damaged[i] ^= static_cast<uint8_t>(1 << bit);
      REQUIRE(read_sealed(kIdentity, sealed, damaged).code() == Code::kFormatError);
    }
    SealedFile shorter = sealed;
    shorter.length = i;
    REQUIRE(read_sealed(kIdentity, shorter, ByteView(file).first(i)).code() == Code::kFormatError);
  }
  CHECK(read_sealed({FileKind::kSegment, 42, 8}, sealed, file).code() == Code::kFormatError);

  // Sound, but another file than the manifest names.
  SealedWriter other(kIdentity);
  other.add(FrameType::kRows, as_bytes("FIRST"));
  other.add(FrameType::kRows, {});
  other.add(FrameType::kRows, as_bytes("twelve bytes"));
  (void)other.seal();
  CHECK(read_sealed(kIdentity, sealed, other.take()).code() == Code::kFormatError);
}

TEST_CASE("parts of a sealed file that check out by themselves do not make up another file") {
  SealedWriter writer(kIdentity);
  writer.add(FrameType::kRows, as_bytes("first"));
  const size_t footer_at = writer.size();
  const SealedFile sealed = writer.seal();
  const Bytes file = writer.take();
  const auto refused = [](const SealedFile& expected, const Bytes& bytes) {
    return read_sealed(kIdentity, expected, bytes).code() == Code::kFormatError;
  };
  REQUIRE_FALSE(refused(sealed, file));

  // Right to the last byte, but not as long as its manifest says.
  for (const int wrong : {-8, -1, 1, 8}) {
    SealedFile other = sealed;
    other.length += static_cast<uint64_t>(wrong);
    CHECK(refused(other, file));
  }
  // The header of another collection's file.
  Bytes header;
  write_file_header({kIdentity.kind, kIdentity.number, kIdentity.link + 1}, header);
  Bytes other_header = file;
  std::ranges::copy(header, other_header.begin());
  CHECK(refused(sealed, other_header));
  // A frame behind the footer.
  Bytes longer = file;
  write_frame(kIdentity, 0, FrameType::kRows, as_bytes("first"), longer);
  SealedFile long_sealed = sealed;
  long_sealed.length = longer.size();
  CHECK(refused(long_sealed, longer));
  // A frame that was written to its place at another time. The footer knows the checksum of the first.
  Bytes newer;
  write_file_header(kIdentity, newer);
  write_frame(kIdentity, 0, FrameType::kRows, as_bytes("FIRST"), newer);
  REQUIRE(newer.size() == footer_at);
  Bytes mixed = file;
  std::ranges::copy(newer, mixed.begin());
  CHECK(refused(sealed, mixed));
  // And so with its footer: a sealed file, of which the manifest does not speak.
  SealedWriter other(kIdentity);
  other.add(FrameType::kRows, as_bytes("FIRST"));
  (void)other.seal();
  CHECK(refused(sealed, other.take()));
}

TEST_CASE("batches come back as they were") {
  CHECK(equal(decode_rows(encoded(some_batch())).value(), some_batch()));
  CHECK(equal(decode_rows(encoded({})).value(), Batch{}));
  Batch plain;
  plain.upserts = {{"only an id", {}, "", ""}};
  CHECK(equal(decode_rows(encoded(plain)).value(), plain));
  const Bytes bytes = encoded(some_batch());
  for (size_t length = 0; length < bytes.size(); ++length) {
    CHECK(decode_rows(ByteView(bytes).first(length)).code() == Code::kFormatError);
  }
  // Columns that do not fit together; random damage never reads out of bounds (the sanitizers watch).
  Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    Bytes damaged = bytes;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      damaged[random.below(damaged.size())] = static_cast<uint8_t>(random.next());
    }
    (void)decode_rows(damaged);
    (void)decode_log_record(damaged);
  }
}

TEST_CASE("columns that disagree are refused") {
  Sections sections = {make_section<uint32_t>("id_ends", std::vector<uint32_t>{1, 2}),
                       make_section<uint8_t>("ids", std::vector<uint8_t>{'a', 'b'})};
  const auto with = [&](const Section& section) {
    Sections all = sections;
    all.push_back(section);
    Bytes bytes;
    write_sections(all, bytes);
    return decode_rows(bytes).code();
  };
  CHECK(with(make_section<uint32_t>("unknown", std::vector<uint32_t>{9})) == Code::kOk);
  CHECK(with(make_section<uint32_t>("text_ends", std::vector<uint32_t>{0})) == Code::kFormatError);
  CHECK(with(make_section<uint32_t>("text_ends", std::vector<uint32_t>{0, 1})) == Code::kFormatError);
  CHECK(with(make_section<uint32_t>("text_ends", std::vector<uint32_t>{1, 0})) == Code::kFormatError);
  CHECK(with(make_section<uint8_t>("has_vector", std::vector<uint8_t>{1, 0})) == Code::kFormatError);
  CHECK(with(make_section<uint8_t>("has_vector", std::vector<uint8_t>{0, 0})) == Code::kOk);
  CHECK(with(make_section<uint8_t>("has_vector", std::vector<uint8_t>{2, 0})) == Code::kFormatError);
  CHECK(with({"vectors", ElementType::kF32, {1, 1}, Bytes(4)}) == Code::kFormatError);
  CHECK(with(make_section<uint16_t>("text_ends", std::vector<uint16_t>{0, 0})) == Code::kFormatError);
  // Flags whose sum is right: as many vectors as rows, but not one each.
  const auto with_vectors = [&](std::vector<uint8_t> flags, std::vector<uint64_t> shape, size_t components) {
    sections.push_back(make_section<uint8_t>("has_vector", std::span<const uint8_t>(flags)));
    const Code code = with({"vectors", ElementType::kF32, shape, Bytes(4 * components)});
    sections.pop_back();
    return code;
  };
  CHECK(with_vectors({1, 1}, {2, 1}, 2) == Code::kOk);
  CHECK(with_vectors({1, 0}, {1, 2}, 2) == Code::kOk);
  CHECK(with_vectors({2, 0}, {2, 1}, 2) == Code::kFormatError);
  CHECK(with_vectors({1, 0}, {2, 1}, 2) == Code::kFormatError);
  CHECK(with_vectors({1, 1}, {2}, 2) == Code::kFormatError);
  CHECK(with_vectors({1, 1}, {2, 0}, 0) == Code::kFormatError);
}

TEST_CASE("a segment keeps the order of rows, also of one id") {
  SegmentBuilder builder(7, 42);
  const auto row = [](std::string_view id, std::string_view text) { return RowView{id, text, "", {}}; };
  builder.add_row(row("a", "1"), true);
  builder.add_row(row("b", "1"), true);
  builder.add_row(row("a", "2"), true);
  builder.add_row(row("a", "3"), false);
  builder.add_delete("b");
  const SegmentEntry entry = builder.seal();
  CHECK(entry.rows == 4);
  CHECK(entry.deletes == 1);
  const Bytes file = builder.take();
  const auto frames = read_sealed(kIdentity, entry.file, file);
  REQUIRE(frames.ok());
  std::string order;
  for (const Frame& frame : frames.value()) {
    const auto batch = decode_rows(frame.payload);
    for (const auto& id : batch.value().deletes) order += "-" + id;
    for (const auto& point : batch.value().upserts) order += point.id + point.text;
    order += ' ';
  }
  CHECK(order == "a1b1 a2 a3 -b ");
}

TEST_CASE("manifests come back, and impossible ones are refused") {
  Manifest manifest;
  manifest.generation = 9;
  manifest.previous = 8;
  manifest.previous_checksum = 1234;
  manifest.next_number = 20;
  manifest.collections = {
      {1, "notes", "{}", {{{2, 100, 5}, 10, 1}, {{3, 200, 6}, 20, 0}}, IndexEntry{1, 10, {{4, 50, 7}}}},
      {5, "empty", "{\"dimension\":3}", {}, std::nullopt}};
  const Bytes bytes = encode_manifest(manifest);
  const auto read = decode_manifest(9, bytes);
  REQUIRE(read.ok());
  CHECK(read.value().collections == manifest.collections);
  CHECK(read.value().checksum == manifest.checksum);
  CHECK(read.value().previous == 8);
  CHECK(read.value().previous_checksum == 1234);
  CHECK(read.value().next_number == 20);
  CHECK(decode_manifest(10, bytes).code() == Code::kFormatError);
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    damaged[i] ^= 1;
    CHECK(decode_manifest(9, damaged).code() == Code::kFormatError);
    CHECK(decode_manifest(9, ByteView(bytes).first(i)).code() == Code::kFormatError);
  }
  Bytes longer = bytes;
  longer.resize(longer.size() + 8);
  CHECK(decode_manifest(9, longer).code() == Code::kFormatError);

  // The same bytes as a frame of another kind.
  const FileIdentity identity = {FileKind::kManifest, 9, 1234};
  const auto frame = read_frame(identity, kFileHeaderBytes, ByteView(bytes).subspan(kFileHeaderBytes));
  for (const FrameType type : {FrameType::kManifest, FrameType::kRows, FrameType::kFooter}) {
    Bytes other;
    write_file_header(identity, other);
    write_frame(identity, 0, type, frame.value().payload, other);
    CHECK(decode_manifest(9, other).ok() == (type == FrameType::kManifest));
  }
  // A sound frame whose payload ends earlier or later than what it lists.
  Bytes payload(frame.value().payload.begin(), frame.value().payload.end());
  const size_t right = payload.size();
  payload.resize(right + 8);
  for (size_t length = 0; length <= payload.size(); ++length) {
    Bytes other;
    write_file_header(identity, other);
    write_frame(identity, 0, FrameType::kManifest, ByteView(payload).first(length), other);
    CAPTURE(length);
    CHECK(decode_manifest(9, other).ok() == (length == right));
  }

  const auto refused = [&](auto change) {
    Manifest other = manifest;
    change(other);
    return decode_manifest(9, encode_manifest(other)).code() == Code::kFormatError;
  };
  CHECK_FALSE(refused([](Manifest&) {}));
  CHECK(refused([](Manifest& m) { m.collections[1].name = "notes"; }));
  CHECK(refused([](Manifest& m) { m.collections[1].number = 1; }));
  CHECK(refused([](Manifest& m) { m.collections[0].segments[1].file.number = 2; }));
  CHECK(refused([](Manifest& m) { m.collections[0].segments[1].file.number = 20; }));
  // Not the first: the index says how many rows that one has.
  CHECK(refused([](Manifest& m) { m.collections[0].segments[1].rows = uint64_t{1} << 32; }));
  CHECK(refused([](Manifest& m) { m.collections[0].segments[1].rows = UINT64_MAX; }));
  CHECK(refused([](Manifest& m) { m.collections[0].segments[1].rows = UINT32_MAX - 9; }));
  CHECK_FALSE(refused([](Manifest& m) { m.collections[0].segments[1].rows = UINT32_MAX - 10; }));
  CHECK(refused([](Manifest& m) { m.collections[0].index->parts[0].number = 3; }));
  CHECK(refused([](Manifest& m) { m.collections[0].index->parts[0].number = 20; }));
  CHECK(refused([](Manifest& m) { m.collections[0].index->segments = 3; }));
  CHECK(refused([](Manifest& m) { m.collections[0].index->segments = UINT64_MAX; }));
  CHECK(refused([](Manifest& m) { m.collections[0].index->rows = 11; }));
  CHECK(refused([](Manifest& m) { m.previous = 9; }));
  // One that would soon make names that are not ours.
  CHECK(refused([](Manifest& m) { m.next_number = kMaxFileNumber; }));
}

TEST_CASE("columns are checked and applied like the points they hold") {
  Schema schema;
  schema.dimension = 3;
  schema.text.emplace();
  const auto rows_of = [](const Collection& collection) {
    std::vector<std::string> rows;
    for (RowId row = 0; row < collection.row_count(); ++row) {
      const RowView view = collection.row(row);
      std::string all = std::string(view.id) + "|" + std::string(view.text) + "|" + std::string(view.payload) + "|";
      for (const float component : view.vector) all += std::to_string(component) + ",";
      rows.push_back(all + (collection.is_live(row) ? "live" : "dead"));
    }
    return rows;
  };

  std::vector<Batch> batches(3);
  batches[0].upserts = {{"a", {1, 2, 3}, "text", "{\"n\":1}"}, {"b", {}, "", ""}, {"c", {0, -1, 4}, "words", "{}"}};
  batches[1].deletes = {"b", "unknown"};
  batches[1].upserts = {{"c", {}, "other words", ""}, {"d", {}, "", ""}};
  batches[2].upserts = {
      {"d", {1, 1, 1}, "", ""}, {"e", {2, 2, 2}, "", ""}, {"b", {}, "", ""}, {"f", {3, 3, 3}, "", ""}};
  Collection points("c", schema), columns("c", schema);
  for (const Batch& batch : batches) {
    const Bytes bytes = encoded(batch);
    const auto view = view_rows(bytes);
    REQUIRE(view.ok());
    REQUIRE(points.check(batch).ok());
    REQUIRE(columns.check(*view).ok());
    CHECK(columns.apply(*view) == points.apply(batch));
    CHECK(rows_of(columns) == rows_of(points));
    CHECK(columns.count() == points.count());
  }
  SearchRequest request;
  request.text = "words";
  CHECK(columns.search(request)->hits.size() == 1);

  const auto with = [](Point point) {
    Batch batch;
    batch.upserts = {{"good", {1, 2, 3}, "text", "{}"}, std::move(point)};
    return batch;
  };
  Batch bad_delete;
  bad_delete.deletes = {"x", ""};
  std::vector<Batch> bad = {bad_delete};
  bad.push_back(with({"", {}, "", ""}));
  bad.push_back(with({"good", {}, "", ""}));
  bad.push_back(with({std::string("a\0b", 3), {}, "", ""}));
  bad.push_back(with({"a\xFF", {}, "", ""}));
  bad.push_back(with({std::string(kMaxIdBytes + 1, 'a'), {}, "", ""}));
  bad.push_back(with({"a", {}, "eight bytes and \xC3", ""}));
  bad.push_back(with({"a", {}, "", "[]"}));
  bad.push_back(with({"a", {}, "", " "}));
  bad.push_back(with({"a", {}, "", "{\"a\":1,\"a\":2}"}));
  bad.push_back(with({"a", {}, "", "{\"a\":1"}));
  bad.push_back(with({"a", {}, "", "{\"a\":\"" + std::string(kMaxPayloadBytes, 'x') + "\"}"}));
  bad.push_back(with({"a", {1, 2, std::numeric_limits<float>::quiet_NaN()}, "", ""}));
  bad.push_back(with({"a", {std::numeric_limits<float>::infinity(), 2, 3}, "", ""}));
  for (const Batch& batch : bad) {
    const Bytes bytes = encoded(batch);
    const auto view = view_rows(bytes);
    REQUIRE(view.ok());
    REQUIRE(!points.check(batch).ok());
    CHECK(columns.check(*view).code() == points.check(batch).code());
  }
  Batch wide;
  wide.upserts = {{"a", {1, 2, 3, 4}, "", ""}};
  const Bytes bytes = encoded(wide);
  CHECK(columns.check(*view_rows(bytes)).code() == Code::kDimensionMismatch);
  CHECK(points.check(wide).code() == Code::kDimensionMismatch);
  CHECK(rows_of(columns) == rows_of(points));
}
