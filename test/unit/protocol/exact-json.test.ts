import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalJson, isStrictJson, sortKeys } from '../../../src/protocol/canonical-json.js'
import { parseEvent, restoreEvent } from '../../../src/protocol/event-format.js'
import { ExactNumber, formatFraction, parseExactJson } from '../../../src/protocol/exact-json.js'
import { hasValidContentHash, referenceHash, sha256, signedText } from '../../../src/protocol/hashes.js'
import { redactEvent } from '../../../src/protocol/redaction.js'
import { getRoomVersionRules } from '../../../src/protocol/room-versions.js'
import type { JsonValue } from '../../../src/util/json.js'
import { anyText } from '../../support/any-text.js'

/** Numbers as a JSON text has them, and as Python writes what it read. */
const NUMBERS: readonly (readonly [source: string, canonical: string])[] = [
  ['0', '0'],
  ['-0', '0'],
  ['7', '7'],
  ['-9007199254740991', '-9007199254740991'],
  ['9007199254740993', '9007199254740993'],
  ['9223372036854775807', '9223372036854775807'],
  ['-123456789012345678901234567890', '-123456789012345678901234567890'],
  ['1.0', '1.0'],
  ['-0.0', '-0.0'],
  ['100.00', '100.0'],
  ['640.5', '640.5'],
  ['-1.25e1', '-12.5'],
  ['1e3', '1000.0'],
  ['1E+3', '1000.0'],
  ['1e15', '1000000000000000.0'],
  ['1e16', '1e+16'],
  ['1.5e300', '1.5e+300'],
  ['0.0001', '0.0001'],
  ['0.00012345', '0.00012345'],
  ['0.00001', '1e-05'],
  ['-12.5e-7', '-1.25e-06'],
  ['1e-10', '1e-10'],
  ['5e-324', '5e-324'],
  ['0.1', '0.1'],
  ['0.30000000000000004', '0.30000000000000004'],
  ['9007199254740993.0', '9007199254740992.0'],
]

describe('exact JSON', () => {
  for (const [source, canonical] of NUMBERS) {
    it(`writes ${source} as ${canonical}`, () => {
      const value = parseExactJson(`{"b":[${source}],"a":${source}}`)
      expect(canonicalJson(value)).to.equal(`{"a":${canonical},"b":[${canonical}]}`)
      expect(canonicalJson(sortKeys(value))).to.equal(`{"a":${canonical},"b":[${canonical}]}`)
      expect(isStrictJson(value)).to.equal(
        /^-?[0-9]+$/.test(source) && source !== '-0' && Number.isSafeInteger(Number(source)),
      )
    })
  }

  it('writes fractions of JavaScript like those of texts', () => {
    for (const value of [0.5, -1.25, 1e-5, 1.5e-7, 640.5, 123456.789]) {
      expect(canonicalJson({ value })).to.equal(`{"value":${formatFraction(value)}}`)
      expect(Number(formatFraction(value))).to.equal(value)
    }
    expect(canonicalJson([0.00001, 2 ** 53, 1e21])).to.equal('[1e-05,9007199254740992,1e+21]')
  })

  it('parses what JSON.parse parses, but for numbers that are rounded', () => {
    const json = fc.letrec<{ value: JsonValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        anyText(),
        fc.maxSafeInteger(),
        fc.constantFrom(true, false, null),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(anyText(), tie('value'), { maxKeys: 4 }),
      ),
    })).value
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1, '\t\r\n'), (value, space) => {
        const text = ` ${JSON.stringify(value, undefined, space)}\n`
        expect(parseExactJson(text)).to.deep.equal(JSON.parse(text))
      }),
    )
  })

  it('parses escapes, empty values and keys that are special', () => {
    const text = '{"\\"":"\\\\","__proto__":{ },"a":[ ],"\\u0041":["\\\\\\"",{"":[[]]}],"a":-1}'
    const value = parseExactJson(text) as object
    expect(JSON.stringify(value)).to.equal(JSON.stringify(JSON.parse(text)))
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype)
  })

  it('keeps numbers apart from objects that look like them', () => {
    expect(canonicalJson(parseExactJson('{"text":"1.0"}'))).to.equal('{"text":"1.0"}')
    expect(parseExactJson('1.0')).to.be.instanceOf(ExactNumber)
  })

  it('takes long strings', () => {
    const text = JSON.stringify({ a: 'x"\\'.repeat(300_000), b: 1 })
    expect(parseExactJson(text)).to.deep.equal(JSON.parse(text))
  })
})

describe('events with numbers that JavaScript rounds', () => {
  const rules = getRoomVersionRules('5')!
  const base =
    '"auth_events":[],"content":{"body":"x","ratio":1.0},"depth":9223372036854775807,"origin_server_ts":1e3,' +
    '"prev_events":[],"room_id":"!r:example.org","sender":"@a:example.org","type":"m.room.message"'
  const hash = sha256(`{${base.replace('1e3', '1000.0')}}`)
  const text = `{"signatures":{},"unsigned":{"age":1.5},"hashes":{"sha256":"${hash}"},${base}}`
  const canonical =
    `{"auth_events":[],"content":{"body":"x","ratio":1.0},"depth":9223372036854775807,"hashes":{"sha256":"${hash}"},` +
    '"origin_server_ts":1000.0,"prev_events":[],"room_id":"!r:example.org","sender":"@a:example.org",' +
    '"signatures":{},"type":"m.room.message"}'

  it('keep their hashes and IDs', () => {
    const event = parseEvent(rules, text)
    expect(hasValidContentHash(event)).to.equal(true)
    expect(signedText(event)).to.equal(
      canonical.replace('"signatures":{},', '').replace('{"body":"x","ratio":1.0}', '{}'),
    )
    expect(event.eventId).to.equal(`$${referenceHash(event).replaceAll('+', '-').replaceAll('/', '_')}`)
  })

  it('have numbers that can be counted with', () => {
    const event = parseEvent(rules, text)
    expect(event.depth).to.equal(Number.MAX_SAFE_INTEGER)
    expect(event.originServerTs).to.equal(1000)
    expect(event.content).to.deep.equal({ body: 'x', ratio: 1 })
  })

  it('are stored and restored as they were', () => {
    const event = parseEvent(rules, text)
    expect(event.toText()).to.equal(canonical)
    const restored = restoreEvent(rules, event.toText(), event)
    expect(restored).to.deep.equal(event)
    expect(hasValidContentHash(restored)).to.equal(true)
  })

  it('keep them when they are redacted', () => {
    const event = parseEvent(rules, text)
    const redacted = redactEvent(event)
    expect(redacted.content).to.deep.equal({})
    expect(redacted.eventId).to.equal(event.eventId)
    expect(redacted.toText()).to.equal(canonical.replace('{"body":"x","ratio":1.0}', '{}'))
    expect(referenceHash(redacted)).to.equal(referenceHash(event))
    expect(restoreEvent(rules, redacted.toText(), redacted)).to.deep.equal(redacted)
  })

  it('are not kept as text without need', () => {
    const plain = canonical.replace('9223372036854775807', '7').replace('1000.0', '1000').replace('1.0', '1')
    const event = parseEvent(rules, plain)
    expect(event.exactText).to.equal(undefined)
    expect(event.toText()).to.equal(plain)
    expect(restoreEvent(rules, plain, event)).to.deep.equal(event)
  })

  it('are within bounds', () => {
    const tooDeep = text.replace('9223372036854775807', '9223372036854779999')
    expect(() => parseEvent(rules, tooDeep)).to.throw('depth')
    const infinite = text.replace('"ratio":1.0', '"ratio":1e999')
    expect(() => parseEvent(rules, infinite)).to.throw('out of range')
    const early = parseEvent(rules, text.replace('1e3', '-1e300'))
    expect(early.originServerTs).to.equal(-Number.MAX_SAFE_INTEGER)
  })
})
