import { expect } from 'chai'
import fc from 'fast-check'
import type { ServerName } from '../../../src/protocol/ids.js'
import { formatXMatrix, parseXMatrix, requestText } from '../../../src/protocol/x-matrix.js'

const WHOLE = { origin: 'a.test', destination: 'b.test', keyId: 'ed25519:k1', signature: 'c2ln/+=' }

describe('parseXMatrix', () => {
  for (const header of [
    'X-Matrix origin="a.test",destination="b.test",key="ed25519:k1",sig="c2ln/+="',
    'X-Matrix origin=a.test,destination=b.test,key=ed25519:k1,sig=c2ln/+=',
    'X-Matrix origin=a.test,destination=b.test,key="ed25519:k1",sig="c2ln/+="',
    'x-matrix   sig="c2ln/+=" , key = "ed25519:k1",ORIGIN=a.test ,\tdestination="b.test"',
    'X-Matrix origin="a\\.test",destination="b.test",key="ed25519:k1",sig="c2ln/+=",extra="1, 2",other=3',
    'X-Matrix ,origin="a.test",,destination="b.test",key="ed25519:k1",sig="c2ln/+=",',
  ]) {
    it(`reads ${header}`, () => expect(parseXMatrix(header)).to.deep.equal(WHOLE))
  }

  it('does without a destination', () => {
    const { destination: _, ...others } = WHOLE
    expect(parseXMatrix('X-Matrix origin=a.test,key="ed25519:k1",sig="c2ln/+="')).to.deep.equal({
      ...others,
      destination: undefined,
    })
  })

  it('reads names with ports', () => {
    expect(parseXMatrix('X-Matrix origin=host.docker.internal:5,key=k,sig=s')?.origin).to.equal(
      'host.docker.internal:5',
    )
    expect(parseXMatrix('X-Matrix origin=[::1]:8448,key=k,sig=s')?.origin).to.equal('[::1]:8448')
  })

  for (const header of [
    '',
    'X-Matrix',
    'Bearer abc',
    'X-Matrixorigin=a.test,key=k,sig=s',
    'X-Matrix origin=a.test,key=k',
    'X-Matrix origin=a.test,sig=s',
    'X-Matrix key=k,sig=s',
    'X-Matrix origin=a.test,key=,sig=s',
    'X-Matrix origin="not a name",key=k,sig=s',
    'X-Matrix origin=a.test:http,key=k,sig=s',
    'X-Matrix origin=a.test,origin=b.test,key=k,sig=s',
    'X-Matrix origin="a.test,key=k,sig=s',
    'X-Matrix origin="a.test"x,key=k,sig=s',
    'X-Matrix origin=a.test key=k sig=s',
    `X-Matrix origin=a.test,key=k,sig=${'s'.repeat(20_000)}`,
  ]) {
    it(`refuses ${header.slice(0, 60)}`, () => expect(parseXMatrix(header)).to.equal(undefined))
  }

  it('reads what formatXMatrix writes', () => {
    const value = fc.stringMatching(/^[\x20-\x7e]{1,30}$/)
    fc.assert(
      fc.property(value, value, value, (destination, keyId, signature) => {
        const header = { origin: 'a.test' as ServerName, destination, keyId, signature }
        expect(parseXMatrix(formatXMatrix(header))).to.deep.equal(header)
      }),
    )
  })

  it('takes time in proportion to what it reads', () => {
    const started = performance.now()
    for (const part of [' ', '\\', ',', '=', '"', 'a', 'a=b,']) {
      parseXMatrix(`X-Matrix origin="${part.repeat(9000 / part.length)}`)
    }
    expect(performance.now() - started).to.be.below(500)
  })
})

describe('requestText', () => {
  it('is the canonical JSON of what is signed', () => {
    const request = {
      method: 'GET',
      uri: '/_matrix/x?y=1',
      origin: 'a.test' as ServerName,
      destination: 'b.test',
    }
    expect(requestText(request)).to.equal(
      '{"destination":"b.test","method":"GET","origin":"a.test","uri":"/_matrix/x?y=1"}',
    )
    expect(requestText({ ...request, content: { b: 1, a: [] } })).to.equal(
      '{"content":{"a":[],"b":1},"destination":"b.test","method":"GET","origin":"a.test","uri":"/_matrix/x?y=1"}',
    )
  })
})
