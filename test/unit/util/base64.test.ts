import { expect } from 'chai'
import fc from 'fast-check'
import { decodeBase64, encodeBase64, encodeUrlSafeBase64, stripPadding } from '../../../src/util/base64.js'

describe('Base64', () => {
  /** https://spec.matrix.org/latest/appendices/#unpadded-base64 */
  const examples = {
    '': '',
    f: 'Zg',
    fo: 'Zm8',
    foo: 'Zm9v',
    foob: 'Zm9vYg',
    fooba: 'Zm9vYmE',
    foobar: 'Zm9vYmFy',
  }
  for (const [text, encoded] of Object.entries(examples)) {
    it(`encodes ${JSON.stringify(text)} as the specification does`, () => {
      expect(encodeBase64(Buffer.from(text))).to.equal(encoded)
      expect(decodeBase64(encoded)?.toString()).to.equal(text)
    })
  }

  it('encodes a part of a buffer', () => {
    expect(encodeBase64(new Uint8Array([0, 102, 111, 111, 0]).subarray(1, 4))).to.equal('Zm9v')
  })

  it('decodes either alphabet, padded or not', () => {
    const bytes = Buffer.from([0xfb, 0xef, 0xff, 0xfa])
    expect(encodeBase64(bytes)).to.equal('++//+g')
    expect(encodeUrlSafeBase64(bytes)).to.equal('--__-g')
    for (const text of ['++//+g', '++//+g==', '--__-g', '--__-g==']) {
      expect(decodeBase64(text)?.equals(bytes), text).to.equal(true)
    }
  })

  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).to.deep.equal(Buffer.from(bytes))
        expect(decodeBase64(encodeUrlSafeBase64(bytes))).to.deep.equal(Buffer.from(bytes))
      }),
    )
  })

  it('does not decode what is no Base64', () => {
    for (const text of ['A', 'AAAAA', 'AA AA', 'AA\n', 'AA===', 'A=A', 'ä', 'AA.A', '=A', 'AAAA!']) {
      expect(decodeBase64(text), text).to.equal(undefined)
    }
  })

  it('strips padding only', () => {
    expect(stripPadding('Zg==')).to.equal('Zg')
    expect(stripPadding('Zm9v')).to.equal('Zm9v')
    expect(stripPadding('==')).to.equal('')
  })
})
