import { expect } from 'chai'
import { parseEvent } from '../../../../src/protocol/event-format.js'
import { pdusOf } from '../../../../src/services/federation/pdu-sources.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { rulesOf } from '../../../support/auth-room.js'

const read = (text: string, ...lists: string[]): unknown[] =>
  pdusOf({ json: JSON.parse(text) as JsonObject, text }, ...lists)

describe('pdusOf', () => {
  it('gives objects where JavaScript reads all numbers as they are', () => {
    expect(read('{"pdus":[{"a":1},{"b":[2]}],"others":[{"c":3}]}', 'pdus', 'others')).to.deep.equal([
      { a: 1 },
      { b: [2] },
      { c: 3 },
    ])
  })

  it('gives the text of each where it does not', () => {
    expect(read('{"pdus":[{"b":1.0,"a":1e3},{"c":2}]}', 'pdus')).to.deep.equal([
      '{"a":1000.0,"b":1.0}',
      '{"c":2}',
    ])
  })

  it('takes nothing but objects for events', () => {
    for (const body of ['{"pdus":["{}",1,null,[],true]}', '{"pdus":["{}",1.5,null,[],true]}']) {
      expect(read(body, 'pdus')).to.deep.equal(new Array(5).fill(undefined))
    }
    for (const body of ['{}', '{"pdus":{}}', '{"pdus":"x"}', '{"pdus":1.5}']) {
      expect(read(body, 'pdus')).to.deep.equal([])
    }
  })

  it('leaves numbers to the room version', () => {
    const json = `{"type":"m.room.message","sender":"@a:b","room_id":"!a:b","content":{"x":1.5},"depth":1,
      "origin_server_ts":1,"prev_events":[],"auth_events":[],"hashes":{"sha256":"x"},"signatures":{}}`
    const [pdu] = read(`{"pdus":[${json}]}`, 'pdus')
    expect(parseEvent(rulesOf('5'), pdu as string).content).to.deep.equal({ x: 1.5 })
    expect(() => parseEvent(rulesOf('6'), pdu as string)).to.throw(/number/)
  })
})
