// 32-bit floats as the shortest decimal text that reads back as the same float, also where a double is read in between.

// 10^0 to 10^22 are exact, so that a division by one of them rounds once.
const powers = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
const fewest = 7;
const most = 9;

/** REQUIRES: `value` is a finite 32-bit float. */
export function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0';
  const size = Math.abs(value);
  if (size >= 1e-6 && size < 1e6) {
    if (Number.isInteger(value)) return String(value);
    // Digits before the point; below 1 the zeros after it count against them.
    let whole = 0;
    if (size >= 1) while (size >= powers[whole]!) whole++;
    else while (size * powers[1 - whole]! < 1) whole--;
    for (let digits = fewest; digits <= most; digits++) {
      const scale = powers[digits - whole]!;
      const near = Math.round(value * scale) / scale;
      if (Math.fround(near) === value) return String(near);
    }
  }
  // Rare, and denormals need few digits.
  for (let digits = 1; digits < most; digits++) {
    const near = Number(value.toPrecision(digits));
    if (Math.fround(near) === value) return String(near);
  }
  return String(Number(value.toPrecision(most)));
}

/** `[1,0.5]` */
export function vectorText(vector: Float32Array): string {
  let text = '[';
  for (let i = 0; i < vector.length; i++) text += (i === 0 ? '' : ',') + floatText(vector[i]!);
  return `${text}]`;
}
