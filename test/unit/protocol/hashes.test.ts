import { expect } from 'chai'
import { createSigningKey, signBytes } from '../../../src/protocol/ed25519.js'
import { Event, type PduJson } from '../../../src/protocol/event.js'
import {
  contentHash,
  essentialText,
  eventIdOf,
  hasValidContentHash,
  referenceHash,
  roomIdOfCreate,
} from '../../../src/protocol/hashes.js'
import type { EventId, RoomId } from '../../../src/protocol/ids.js'
import {
  getRoomVersionRules,
  ROOM_VERSIONS,
  type RoomVersionRules,
} from '../../../src/protocol/room-versions.js'

const SEED = Buffer.from('YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1', 'base64')

const rulesOf = (version: string): RoomVersionRules => getRoomVersionRules(version)!

function eventOf(json: PduJson): Event {
  return new Event(rulesOf('1'), json, {
    eventId: '$e:domain' as EventId,
    roomId: '!x:domain' as RoomId,
  })
}

/** https://spec.matrix.org/latest/appendices/#event-signing */
const MINIMAL = {
  room_id: '!x:domain',
  sender: '@a:domain',
  origin: 'domain',
  origin_server_ts: 1000000,
  signatures: {},
  hashes: {},
  type: 'X',
  content: {},
  prev_events: [],
  auth_events: [],
  depth: 3,
  unsigned: { age_ts: 1000000 },
} as unknown as PduJson
const REDACTABLE = {
  content: { body: 'Here is the message content' },
  event_id: '$0:domain',
  origin: 'domain',
  origin_server_ts: 1000000,
  type: 'm.room.message',
  room_id: '!r:domain',
  sender: '@u:domain',
  signatures: {},
  unsigned: { age_ts: 1000000 },
} as unknown as PduJson

describe('hashes of events', () => {
  const vectors = [
    {
      what: 'minimal',
      json: MINIMAL,
      hash: '5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos',
      signature: 'KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg',
    },
    {
      what: 'redactable',
      json: REDACTABLE,
      hash: 'onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g',
      signature: 'Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA',
    },
  ]
  for (const { what, json, hash, signature } of vectors) {
    it(`hashes and signs the specification's ${what} event`, async () => {
      const key = createSigningKey(SEED)
      expect(contentHash(json)).to.equal(hash)
      const hashed = { ...json, hashes: { sha256: hash } }
      expect(signBytes(key, essentialText(rulesOf('1'), hashed))).to.equal(signature)
    })
  }

  it('takes a content hash with padding, but no other', () => {
    const sha256 = contentHash(MINIMAL)
    const withHash = (hashes: unknown): PduJson => ({ ...MINIMAL, hashes }) as unknown as PduJson
    expect(hasValidContentHash(eventOf(withHash({ sha256 })))).to.equal(true)
    expect(hasValidContentHash(eventOf(withHash({ sha256: `${sha256}=` })))).to.equal(true)
    expect(hasValidContentHash(eventOf({ ...withHash({ sha256 }), depth: 4 }))).to.equal(false)
    for (const hashes of [
      {},
      { sha256: 3 },
      { sha256: '' },
      { sha256: `${sha256} ` },
      { sha256: 'A'.repeat(43) },
      null,
      [],
    ]) {
      expect(hasValidContentHash(eventOf(withHash(hashes))), JSON.stringify(hashes)).to.equal(false)
    }
  })

  it('names events by their reference hash from room version 3 on', () => {
    for (const rules of ROOM_VERSIONS.values()) {
      const json = { ...MINIMAL, hashes: { sha256: contentHash(MINIMAL) }, event_id: '$own:domain' }
      const id = eventIdOf(rules, json)!
      const event = new Event(rules, json, { eventId: id, roomId: '!x:domain' as RoomId })
      const hash = referenceHash(event)
      if (rules.eventIdFormat === 'v1') expect(id).to.equal('$own:domain')
      else if (rules.eventIdFormat === 'v3') expect(id).to.equal(`$${hash}`)
      else expect(id).to.equal(`$${hash.replaceAll('+', '-').replaceAll('/', '_')}`)
      expect(hash).to.match(/^[A-Za-z0-9+/]{43}$/)
    }
  })

  it('leaves signatures and what is unsigned out of the ID', () => {
    const rules = rulesOf('10')
    const id = eventIdOf(rules, MINIMAL)
    expect(eventIdOf(rules, { ...MINIMAL, signatures: { a: { b: 'c' } }, unsigned: {} })).to.equal(id)
    expect(eventIdOf(rules, { ...MINIMAL, content: { body: 'redactable' } })).to.equal(id)
    expect(eventIdOf(rules, { ...MINIMAL, depth: 4 })).not.to.equal(id)
    expect(eventIdOf(rules, { ...MINIMAL, hashes: { sha256: 'x' } })).not.to.equal(id)
  })

  it('makes a room ID of a create event', () => {
    expect(roomIdOfCreate('$abc' as EventId)).to.equal('!abc')
  })
})
