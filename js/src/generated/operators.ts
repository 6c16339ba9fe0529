// Made by scripts/generate.mjs from core/filter/operators.def.

/** The operators of a filter. */
export const filterOperators = [
  /** The field is the value. */
  '$eq',
  /** Not $eq; also where the field is missing. */
  '$ne',
  /** The field is of the operand's type and greater. */
  '$gt',
  /** The field is of the operand's type and greater or equal. */
  '$gte',
  /** The field is of the operand's type and less. */
  '$lt',
  /** The field is of the operand's type and less or equal. */
  '$lte',
  /** The field is one of the values; an empty list matches nothing. */
  '$in',
  /** Not $in; also where the field is missing. */
  '$nin',
  /** The field is an array with the value, or a string with the substring. */
  '$contains',
  /** The field is there (null counts as there), or is not. */
  '$exists',
  /** All of the filters match; an empty list matches everything. */
  '$and',
  /** One of the filters matches; an empty list matches nothing. */
  '$or',
  /** The filter does not match. */
  '$not',
] as const;
export type FilterOperator = (typeof filterOperators)[number];
