import { expect } from 'chai'
import fc from 'fast-check'
import {
  canonicalJson,
  hasOnlyIntegers,
  isStrictJson,
  sortKeys,
} from '../../../src/protocol/canonical-json.js'
import { MatrixError } from '../../../src/protocol/errors.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { anyText } from '../../support/any-text.js'

/** https://spec.matrix.org/latest/appendices/#canonical-json, and what it leaves to the reader. */
const EXAMPLES: readonly (readonly [source: string, canonical: string])[] = [
  ['{}', '{}'],
  ['{ "one": 1, "two": "Two" }', '{"one":1,"two":"Two"}'],
  ['{ "b": "2", "a": "1" }', '{"a":"1","b":"2"}'],
  ['{"b":"2","a":"1"}', '{"a":"1","b":"2"}'],
  [
    `{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
      "three_pids": [{"medium": "email", "address": "john.doe@example.org"},
      {"medium": "msisdn", "address": "123456789"}]}}}`,
    '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}',
  ],
  ['{"a": "日本語"}', '{"a":"日本語"}'],
  ['{"本": 2, "日": 1}', '{"日":1,"本":2}'],
  ['{"a": "\\u65E5"}', '{"a":"日"}'],
  ['{"a": null}', '{"a":null}'],
  ['{"a": -0, "b": 1e10}', '{"a":0,"b":10000000000}'],
  ['[]', '[]'],
  ['[1,[2,[]],{"b":[],"a":{}}]', '[1,[2,[]],{"a":{},"b":[]}]'],
  ['"text"', '"text"'],
  ['true', 'true'],
  ['{"":1,"a":2}', '{"":1,"a":2}'],
  // Keys that an engine puts first.
  ['{"10":1,"9":2,"a":3,"1":4}', '{"1":4,"10":1,"9":2,"a":3}'],
  ['[{"2":0,"11":0}]', '[{"11":0,"2":0}]'],
  // Keys beyond U+FFFF come last, though the surrogates that they are made of do not.
  ['{"\u{10000}":1,"\uffff":2,"\ue000":3}', '{"\ue000":3,"\uffff":2,"\u{10000}":1}'],
  ['{"\ue000":3,"\uffff":2,"\u{10000}":1}', '{"\ue000":3,"\uffff":2,"\u{10000}":1}'],
  ['{"a":[{"x\u{10000}":1,"x\uffff":2}]}', '{"a":[{"x\uffff":2,"x\u{10000}":1}]}'],
  ['{"__proto__":{"b":1,"a":2},"a":1,"constructor":2}', '{"__proto__":{"a":2,"b":1},"a":1,"constructor":2}'],
  ['{"b":1,"__proto__":2}', '{"__proto__":2,"b":1}'],
  // Escapes: the shortest there is, in lower case.
  ['"\\u0008\\u0009\\u000A\\u000C\\u000D\\u0022\\u005C"', '"\\b\\t\\n\\f\\r\\"\\\\"'],
  ['"\\u0000\\u000B\\u001F\\u007f\\/\\u2028"', '"\\u0000\\u000b\\u001f\u007f/\u2028"'],
  ['{"z":0,"\\"\\n":"\\u0001"}', '{"\\"\\n":"\\u0001","z":0}'],
  ['"\\ud83d\\ude00"', '"😀"'],
  ['{"b":"😀","a":"\\\\ud800"}', '{"a":"\\\\ud800","b":"😀"}'],
  ['"\\\\ud800"', '"\\\\ud800"'],
  ['9007199254740991', '9007199254740991'],
  ['-9007199254740991', '-9007199254740991'],
]

const errcodeOf = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof MatrixError ? error.errcode : String(error)
  }
  return undefined
}

const nested = (levels: number): JsonValue => {
  let value: JsonValue = 0
  for (let level = 0; level < levels; level++) value = level % 2 ? [value] : { a: value }
  return value
}

/** Any JSON whose numbers are exact. */
const exactJson = (): fc.Arbitrary<JsonValue> =>
  fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      anyText(),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 5 }),
      fc
        .uniqueArray(fc.tuple(fc.oneof(anyText(), fc.nat(20).map(String)), tie('value')), {
          selector: ([key]) => key,
          maxLength: 6,
        })
        .map((entries) => Object.fromEntries<JsonValue>(entries)),
    ),
  })).value

/** The rules, the slow way: keys by the bytes of their UTF-8. */
function slowCanonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(slowCanonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(Object.is(value, -0) ? 0 : value)
  const entries = Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${slowCanonicalJson(member)}`).join(',')}}`
}

describe('canonical JSON', () => {
  for (const [source, canonical] of EXAMPLES) {
    it(`of ${source.slice(0, 60).replace(/\s+/g, ' ')}`, () => {
      const value = JSON.parse(source) as JsonValue
      expect(canonicalJson(value)).to.equal(canonical)
      expect(canonicalJson(sortKeys(value))).to.equal(canonical)
    })
  }

  it('agrees with the rules for any value, sorted or not, and is JSON of the same value', () => {
    fc.assert(
      fc.property(exactJson(), (value) => {
        const text = canonicalJson(value)
        expect(text).to.equal(slowCanonicalJson(value))
        expect(canonicalJson(sortKeys(value))).to.equal(text)
        expect(JSON.parse(text)).to.deep.equal(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(JSON.parse(text) as JsonValue)).to.equal(text)
        expect(hasOnlyIntegers(text)).to.equal(true)
      }),
      { numRuns: 500 },
    )
  })

  it('sorts the keys of small objects and of large ones', () => {
    for (const size of [2, 31, 32, 33, 200]) {
      const keys = Array.from({ length: size }, (_, index) => `k${(index * 7919) % 1009}`)
      const value = Object.fromEntries(keys.map((key) => [key, 0]))
      expect(canonicalJson(value)).to.equal(slowCanonicalJson(value))
      expect(Object.keys(sortKeys(value))).to.deep.equal([...keys].sort())
    }
  })

  it('leaves out members that are undefined', () => {
    const value = { b: undefined, a: 1, A: [{ d: undefined, c: 2 }] } as unknown as JsonValue
    expect(canonicalJson(value)).to.equal('{"A":[{"c":2}],"a":1}')
    expect(canonicalJson(sortKeys(value))).to.equal('{"A":[{"c":2}],"a":1}')
    expect(canonicalJson({ a: 1, b: undefined } as unknown as JsonValue)).to.equal('{"a":1}')
  })

  it('writes numbers of early room versions as they are', () => {
    expect(canonicalJson([0.5, 1e21, 9007199254740992, -1.25])).to.equal('[0.5,1e+21,9007199254740992,-1.25]')
  })

  it('refuses what has no canonical form', () => {
    for (const value of [Infinity, -Infinity, NaN, { a: [JSON.parse('1e400') as number] }]) {
      expect(errcodeOf(() => canonicalJson(value))).to.equal('M_BAD_JSON')
      expect(errcodeOf(() => sortKeys(value))).to.equal('M_BAD_JSON')
    }
    for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800', '\ud800\ud800\udc00']) {
      for (const value of [
        text,
        [text],
        { a: text },
        { [text]: 1 },
        { b: text, a: 1 },
        { [text]: 1, A: 2 },
        ['é', text],
      ]) {
        expect(
          errcodeOf(() => canonicalJson(value)),
          JSON.stringify(value),
        ).to.equal('M_BAD_JSON')
      }
    }
  })

  it('refuses what is nested too deeply for anybody, whatever the size of the stack', () => {
    expect(errcodeOf(() => canonicalJson(nested(1000)))).to.equal(undefined)
    expect(errcodeOf(() => canonicalJson(nested(1002)))).to.equal('M_BAD_JSON')
    const deepest = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as JsonValue
    expect(errcodeOf(() => canonicalJson(deepest))).to.equal('M_BAD_JSON')
    expect(errcodeOf(() => isStrictJson(deepest))).to.equal('M_BAD_JSON')
    expect(errcodeOf(() => sortKeys(deepest))).to.equal('M_BAD_JSON')
  })
})

describe('strict JSON', () => {
  it('has exact integers only', () => {
    for (const value of [
      0,
      1,
      -1,
      2 ** 53 - 1,
      -(2 ** 53) + 1,
      'a1.5',
      null,
      true,
      [],
      {},
      { a: [1, '0.1'] },
    ]) {
      expect(isStrictJson(value), JSON.stringify(value)).to.equal(true)
    }
    for (const value of [0.5, -0, 2 ** 53, -(2 ** 53), 1e300, [1, [0.1]], { a: { b: [-0] } }]) {
      expect(isStrictJson(value), JSON.stringify(value)).to.equal(false)
    }
  })

  it('writes them without fraction, exponent or negative zero', () => {
    const strict = [
      '0',
      '-1',
      '{"a":10,"b":[true,false,null]}',
      '"1.5"',
      '{"1.5e3":"-0"}',
      '["\\"1.5","\\\\",1,"-0\\\\\\""]',
      '["a\\\\\\"1.0"]',
      '{"e1":"E","-0":1}',
      '"\\ud83d\\ude00 1e5"',
      '"é1.5", 1',
      '[100, 2000, -30]',
      '"open 1.5',
    ]
    for (const text of strict) expect(hasOnlyIntegers(text), text).to.equal(true)
    const loose = [
      '1.0',
      '-0',
      '[-0]',
      '{"a":1e3}',
      '{"a":1E3}',
      '1e-3',
      '-0.0',
      '{"a":"b","c":1.5}',
      '["\\"",1.5]',
      '["\\\\",1.5]',
      '["\\\\\\\\",-0]',
      '["é",1e2]',
      '[0e0]',
    ]
    for (const text of loose) expect(hasOnlyIntegers(text), text).to.equal(false)
  })

  it('is seen in the text of any value', () => {
    const odd = fc.constantFrom('1.0', '-0', '1e1', '2E5', '-0.5', '0.1e-3')
    const string = anyText().map((text) => JSON.stringify(text))
    fc.assert(
      fc.property(fc.array(string), odd, fc.array(string), (before, number, after) => {
        expect(hasOnlyIntegers(`[${[...before, ...after].join(',')}]`)).to.equal(true)
        expect(hasOnlyIntegers(`[${[...before, number, ...after].join(',')}]`)).to.equal(false)
      }),
    )
  })

  it('takes time that is linear in hostile text', () => {
    const text = `"${'\\"'.repeat(500_000)}${'\\\\'.repeat(500_000)}"`
    const started = process.hrtime.bigint()
    expect(hasOnlyIntegers(text)).to.equal(true)
    expect(Number(process.hrtime.bigint() - started) / 1e6).to.be.below(2000)
  })
})

describe('sorting keys', () => {
  it('gives a value back that is sorted already', () => {
    const value = { a: [{ b: 1, c: 2 }], d: 'x' }
    expect(sortKeys(value)).to.equal(value)
  })

  it('changes a copy', () => {
    const value = { b: 1, a: { d: 1, c: 2 } }
    const before = JSON.stringify(value)
    expect(JSON.stringify(sortKeys(value))).to.equal('{"a":{"c":2,"d":1},"b":1}')
    expect(JSON.stringify(value)).to.equal(before)
  })

  it('keeps a key that could be taken for the prototype', () => {
    const sorted = sortKeys(JSON.parse('{"b":1,"__proto__":{"x":1}}') as JsonObject)
    expect(Object.getPrototypeOf(sorted)).to.equal(Object.prototype)
    expect(JSON.stringify(sorted)).to.equal('{"__proto__":{"x":1},"b":1}')
  })
})
