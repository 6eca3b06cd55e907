import { expect } from 'chai'
import fc from 'fast-check'
import { boundaryOf, MultipartError, readMultipart } from '../../../../src/services/media/multipart.js'
import { rejection } from '../../../support/rejection.js'

type Part = readonly [Record<string, string>, string]

async function readAll(body: string | Buffer, boundary: string, pieceLength = 7): Promise<Part[]> {
  const bytes = Buffer.from(body as string)
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += pieceLength) yield bytes.subarray(at, at + pieceLength)
  }
  const parts: Part[] = []
  for await (const { headers, content } of readMultipart(pieces(), boundary)) {
    const read: Buffer[] = []
    for await (const piece of content) read.push(piece)
    parts.push([Object.fromEntries(headers), Buffer.concat(read).toString('latin1')])
  }
  return parts
}

describe('a multipart body', () => {
  const BODY =
    '--xyz\r\nContent-Type: application/json\r\n\r\n{}\r\n--xyz\r\nContent-Type: image/png\r\nX-Y:  z \r\n\r\nbytes\r\n--xyz--\r\n'

  it('is taken apart, however it comes', async () => {
    const expected = [
      [{ 'content-type': 'application/json' }, '{}'],
      [{ 'content-type': 'image/png', 'x-y': 'z' }, 'bytes'],
    ]
    for (const pieceLength of [1, 2, 3, 5, 8, 1000]) {
      expect(await readAll(BODY, 'xyz', pieceLength)).to.deep.equal(expected)
      expect(await readAll(`Preamble\r\n${BODY}`, 'xyz', pieceLength)).to.deep.equal(expected)
      expect(await readAll(`${BODY}Epilogue`, 'xyz', pieceLength)).to.deep.equal(expected)
    }
  })

  it('may have parts without headers, without content, or none', async () => {
    expect(await readAll('--b\r\n\r\nx\r\n--b--', 'b')).to.deep.equal([[{}, 'x']])
    expect(await readAll('--b\r\n\r\n\r\n--b--', 'b')).to.deep.equal([[{}, '']])
    expect(await readAll('--b--', 'b')).to.deep.equal([])
    expect(await readAll('--b  \r\nA: b\r\n\r\nx\r\n--b--', 'b')).to.deep.equal([[{ a: 'b' }, 'x']])
  })

  it('keeps every byte', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom('\r', '\n', '-', 'b', '\u00ff') }), { maxLength: 3 }),
        fc.integer({ min: 1, max: 30 }),
        async (contents, pieceLength) => {
          // A content with the delimiter in it is two.
          fc.pre(contents.every((content) => !`\r\n${content}`.includes('\r\n--bbbb')))
          const body = contents.map((content) => `--bbbb\r\nA: b\r\n\r\n${content}\r\n`).join('')
          const parts = await readAll(Buffer.from(`${body}--bbbb--`, 'latin1'), 'bbbb', pieceLength)
          expect(parts.map(([, content]) => content)).to.deep.equal(contents)
        },
      ),
      { numRuns: 300 },
    ))

  it('is an error where it ends early, or is none', async () => {
    for (let length = 0; length < BODY.length - 4; length++) {
      expect(await rejection(readAll(BODY.slice(0, length), 'xyz'))).to.be.instanceOf(MultipartError)
    }
    expect(await rejection(readAll('no such boundary', 'xyz'))).to.be.instanceOf(MultipartError)
    const long = `--xyz\r\nA: ${'b'.repeat(20_000)}\r\n\r\n\r\n--xyz--`
    expect(await rejection(readAll(long, 'xyz', 1000))).to.be.instanceOf(MultipartError)
  })

  it('says in its type where its parts end', () => {
    expect(boundaryOf('multipart/mixed; boundary=abc')).to.equal('abc')
    expect(boundaryOf('Multipart/Mixed; charset=x; boundary="a b"')).to.equal('a b')
    expect(boundaryOf('multipart/mixed')).to.equal(undefined)
    expect(boundaryOf('text/plain; boundary=abc')).to.equal(undefined)
    expect(boundaryOf(undefined)).to.equal(undefined)
  })
})
