// Fuzz target: derived state. An index file of its own, sealed again around hostile sections, and sections attached
// straight to a collection; then it is searched and written to.
//
// The first byte chooses; the rest is the input. See scripts/fuzz for running and replaying.
#include "tests/support/fuzz_database.h"
#include "tests/support/pieces.h"

using namespace nearfield;

namespace {

// Changes to good sections: which one, where, what; or its length.
Sections changed(Sections sections, ByteView input) {
  for (size_t i = 0; i + 4 <= input.size(); i += 4) {
    Section& section = sections[input[i] % sections.size()];
    const size_t place = static_cast<size_t>(input[i + 1] | input[i + 2] << 8);
    if (input[i] >= 240 && section.shape.size() == 1) {
      const size_t elements = place % (section.bytes.size() / element_size(section.type) + 4);
      section.bytes.resize(elements * element_size(section.type), input[i + 3]);
      section.shape[0] = elements;
    } else if (!section.bytes.empty()) {
      section.bytes[place % section.bytes.size()] = input[i + 3];
    }
  }
  return sections;
}

// What is read in pieces is what is read as a whole.
void compare_pieces(ByteView packed, size_t most) {
  const Result<Sections> whole = read_sections(packed);
  const Result<SectionViews> pieces = SectionViews::read(cut(packed, most));
  fuzz_demand(whole.ok() == pieces.ok());
  if (!whole.ok()) return;
  for (const Section& section : *whole) {
    const SectionView* view = pieces->find(section.name);
    fuzz_demand(view != nullptr && view->type == section.type && view->shape == section.shape);
    fuzz_demand(std::ranges::equal(view->pieces->bytes.whole(), section.bytes));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const FuzzDatabase kDatabase;
  static const Sections kSections = kDatabase.sections();
  if (size < 1) return 0;
  const ByteView input(data + 1, size - 1);
  const size_t piece = 1 + data[0];
  compare_pieces(input, piece);
  FuzzDatabase database = kDatabase;
  CollectionEntry& entry = database.graph();
  SealedFile& part = entry.index->parts[0];
  if (data[0] % 4 == 0) {
    database.files.at(file_name(FileKind::kIndex, part.number)).assign(input.begin(), input.end());
    database.open_and_use();
    return 0;
  }
  Bytes packed(input.begin(), input.end());
  if (data[0] % 4 != 1) {
    packed.clear();
    write_sections(changed(kSections, input), packed);
    compare_pieces(packed, piece);
  }
  part = database.replace(FileKind::kIndex, part.number, entry.number, FrameType::kIndexPart, packed);
  database.seal_manifest();
  database.open_and_use();
  return 0;
}
