import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import * as fc from 'fast-check'
import {
  MAX_JSON_DEPTH,
  parseJsonBody,
  readBody,
  RequestAbortedError,
  type IncomingBody,
} from '../../../src/http/body.js'
import type { MatrixError } from '../../../src/protocol/errors.js'
import { rejection } from '../../support/rejection.js'

const STRICT = { emptyBody: false, allowNul: false }

function codeOf(text: string | Buffer, options = STRICT): string | undefined {
  try {
    parseJsonBody(Buffer.from(text), options)
    return undefined
  } catch (error) {
    return (error as MatrixError).errcode
  }
}

function requestOf(chunks: readonly string[], headers: IncomingBody['headers'] = {}): IncomingBody {
  const stream = new PassThrough()
  for (const chunk of chunks) stream.write(chunk)
  stream.end()
  return { stream, headers }
}

describe('http/body', () => {
  describe('parseJsonBody', () => {
    it('gives the value and the text as sent', () => {
      expect(parseJsonBody(Buffer.from('{"a": 1.0}'), STRICT)).to.deep.equal({
        text: '{"a": 1.0}',
        value: { a: 1 },
      })
    })

    it('refuses what is no JSON', () => {
      for (const text of ['', '{', 'nope', '{"a":1}x', '\ufeff{}', '{"a":"\u0000"}']) {
        expect(codeOf(text), text).to.equal('M_NOT_JSON')
      }
      expect(codeOf(Buffer.from([0x22, 0xff, 0x22]))).to.equal('M_NOT_JSON')
    })

    it('takes an empty body for an empty object where that is allowed', () => {
      expect(parseJsonBody(Buffer.alloc(0), { ...STRICT, emptyBody: true }).value).to.deep.equal({})
    })

    it('refuses JSON that nests too deep, before it is built', () => {
      const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
      expect(codeOf(nested(MAX_JSON_DEPTH))).to.equal(undefined)
      expect(codeOf(nested(MAX_JSON_DEPTH + 1))).to.equal('M_BAD_JSON')
      expect(codeOf('{"a":'.repeat(100_000))).to.equal('M_BAD_JSON')
    })

    it('does not count brackets in strings', () => {
      const text = JSON.stringify({ a: `${'['.repeat(1000)}"\\${'{'.repeat(1000)}` })
      expect(codeOf(text)).to.equal(undefined)
    })

    it('refuses half surrogate pairs anywhere', () => {
      for (const text of ['"\\ud800"', '{"\\udfff": 1}', '[{"a":["\\ud83d x"]}]']) {
        expect(codeOf(text), text).to.equal('M_BAD_JSON')
      }
      expect(codeOf('"\\ud83d\\ude00"')).to.equal(undefined)
    })

    it('refuses null characters unless they are allowed', () => {
      expect(codeOf('{"a":"\\u0000"}')).to.equal('M_BAD_JSON')
      expect(codeOf('{"\\u0000":1}')).to.equal('M_BAD_JSON')
      expect(codeOf('{"a":"\\u0000"}', { ...STRICT, allowNul: true })).to.equal(undefined)
      expect(codeOf('{"a":"\\\\u0000"}')).to.equal(undefined)
    })

    it('reads all JSON of moderate depth as JSON.parse does', () => {
      fc.assert(
        fc.property(fc.json({ maxDepth: 6 }), (text) => {
          fc.pre(text.isWellFormed())
          const expected: unknown = JSON.parse(text)
          expect(parseJsonBody(Buffer.from(text), { emptyBody: false, allowNul: true }).value).to.deep.equal(
            expected,
          )
        }),
        { numRuns: 200 },
      )
    })
  })

  describe('readBody', () => {
    it('joins what comes in parts', async () => {
      expect((await readBody(requestOf(['{"a"', ':1}']), 100)).toString()).to.equal('{"a":1}')
      expect((await readBody(requestOf([]), 100)).length).to.equal(0)
    })

    it('refuses more than is allowed, announced or not', async () => {
      const announced = requestOf(['x'], { 'content-length': '101' })
      expect(await rejection(readBody(announced, 100))).to.include({ errcode: 'M_TOO_LARGE', status: 413 })
      expect(await rejection(readBody(requestOf(['x'.repeat(60), 'y'.repeat(41)]), 100))).to.include({
        errcode: 'M_TOO_LARGE',
      })
      expect((await readBody(requestOf(['x'.repeat(100)]), 100)).length).to.equal(100)
    })

    it('rejects when the client goes away', async () => {
      const stream = new PassThrough()
      const reading = rejection(readBody({ stream, headers: {} }, 100))
      stream.destroy()
      expect(await reading).to.be.instanceOf(RequestAbortedError)
    })
  })
})
