import fc from 'fast-check'
import type { Schema } from './openapi.js'

/**
 * Request bodies as text that a careless or hostile client may send where a schema is expected: mostly right with some
 * values wrong, or wrong as a whole. Text, since what JSON.stringify cannot write is half of the trouble.
 */
export function hostileBodies(schema: Schema): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 8, arbitrary: nearly(schema, 0) },
    { weight: 2, arbitrary: fc.constantFrom(...BODIES) },
  )
}

/** As a whole no JSON, or JSON that is no object. */
const BODIES: readonly string[] = [
  '',
  '{',
  'nul',
  'null',
  'true',
  '17',
  '"text"',
  '[]',
  '[{}]',
  '{"a":}',
  "{'a':1}",
  '{"a":1}}',
  '\u0000',
  '\uFEFF{}',
  `{"a":"${'x'.repeat(70_000)}"}`,
  `{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
  '['.repeat(50_000),
  `{"a":`.repeat(20_000),
]

/** Values in the place of others. */
const VALUES: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e3',
  '1e400',
  '9007199254740993',
  '-9223372036854775809',
  '""',
  '" "',
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\u{1F600}"',
  '"@alice:localhost"',
  '"!none:localhost"',
  '"$none"',
  '"#none:localhost"',
  '"../../etc/passwd"',
  '"%00%ff"',
  '"m.room.create"',
  '[]',
  '[null]',
  '[[]]',
  '["\\u0000"]',
  '{}',
  '{"":""}',
  '{"__proto__":{"a":1}}',
  '{"constructor":1,"toString":null}',
  '{"a\\u0000":1}',
  `"${'x'.repeat(300)}"`,
  `"${'x'.repeat(66_000)}"`,
  `[${Array.from({ length: 2_000 }, (_, index) => index).join(',')}]`,
  '['.repeat(1_000) + ']'.repeat(1_000),
  '{"a":'.repeat(200) + '1' + '}'.repeat(200),
]

function wrong(): fc.Arbitrary<string> {
  return fc.constantFrom(...VALUES)
}

/** What the schema wants, with some parts of it wrong. */
function nearly(schema: Schema, depth: number): fc.Arbitrary<string> {
  const right = rightfully(schema, depth)
  // The object around everything else is right more often, so that its parts come to be looked at.
  return fc.oneof({ weight: depth === 0 ? 30 : 3, arbitrary: right }, { weight: 1, arbitrary: wrong() })
}

function rightfully(schema: Schema, depth: number): fc.Arbitrary<string> {
  if (depth > 4) return wrong()
  const { allOf = [], oneOf, anyOf } = schema
  const choices = oneOf ?? anyOf ?? []
  if (allOf.length > 0) return rightfully(allOf.reduce<Schema>(mergeSchemas, { ...schema, allOf: [] }), depth)
  if (choices.length > 0) return fc.oneof(...choices.map((choice) => nearly(choice, depth)))
  if (schema.enum?.length) return fc.constantFrom(...schema.enum.map((value) => JSON.stringify(value)))
  return ofType(schema, depth)
}

function ofType(schema: Schema, depth: number): fc.Arbitrary<string> {
  const type = Array.isArray(schema.type) ? (schema.type as string[])[0] : (schema.type as string | undefined)
  switch (schema.properties ? 'object' : type) {
    case 'object':
      return objectOf(schema, depth)
    case 'array':
      return fc
        .array(nearly(schema.items ?? {}, depth + 1), { maxLength: 3 })
        .map((items) => `[${items.join(',')}]`)
    case 'string':
      return textLike(schema)
    case 'integer':
    case 'number':
      return fc.integer({ min: -1, max: 100_000 }).map(String)
    case 'boolean':
      return fc.boolean().map(String)
    default:
      return wrong()
  }
}

function objectOf(schema: Schema, depth: number): fc.Arbitrary<string> {
  const required = new Set(schema.required ?? [])
  const known = Object.entries(schema.properties ?? {}).map(([name, value]) => {
    const member = nearly(value, depth + 1).map((text) => `${JSON.stringify(name)}:${text}`)
    const often = required.has(name) ? 9 : 1
    return fc.oneof({ weight: often, arbitrary: member }, { weight: 1, arbitrary: fc.constant(undefined) })
  })
  const free = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {}
  const others = fc.array(
    fc.tuple(
      fc.constantFrom('a', '', '__proto__', 'm.room.message', '@a:b', '\u0000', 'x'.repeat(256)),
      nearly(free, depth + 2),
    ),
    { maxLength: 1 },
  )
  return fc.tuple(fc.tuple(...known), others).map(([members, more]) => {
    const all = [
      ...members.filter((member) => member !== undefined),
      ...more.map(([name, text]) => `${JSON.stringify(name)}:${text}`),
    ]
    return `{${all.join(',')}}`
  })
}

function textLike(schema: Schema): fc.Arbitrary<string> {
  const examples = typeof schema.example === 'string' ? [JSON.stringify(schema.example)] : []
  const texts = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => JSON.stringify(text))
  return examples.length > 0 ? fc.oneof(fc.constantFrom(...examples), texts) : texts
}

function mergeSchemas(first: Schema, second: Schema): Schema {
  return {
    ...first,
    ...second,
    properties: { ...first.properties, ...second.properties },
    required: [...(first.required ?? []), ...(second.required ?? [])],
  }
}
