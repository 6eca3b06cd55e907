import { expect } from 'chai'
import { authEventKeys, authStateKeys, thirdPartyToken } from '../../../src/protocol/auth-events.js'
import type { JsonObject } from '../../../src/util/json.js'
import { rulesOf, versions } from '../../support/auth-room.js'

const alice = '@alice:example.org'
const bob = '@bob:example.org'

function keys(version: string, input: { type: string; stateKey?: string; content?: JsonObject }): string[] {
  const draft = { sender: alice, content: {}, ...input }
  return authEventKeys(rulesOf(version), draft).map(([type, stateKey]) => `${type}/${stateKey}`)
}

const CREATE = 'm.room.create/'
const POWER = 'm.room.power_levels/'
const RULES = 'm.room.join_rules/'
const ALICE = `m.room.member/${alice}`
const BOB = `m.room.member/${bob}`

describe('authEventKeys', () => {
  it('selects nothing for the create event', () => {
    for (const version of versions(1, 12)) {
      expect(keys(version, { type: 'm.room.create', stateKey: '' })).to.deep.equal([])
    }
  })

  it('selects the create event up to version 11, power levels and the sender', () => {
    for (const version of versions(1, 11)) {
      expect(keys(version, { type: 'm.room.message' })).to.have.members([CREATE, POWER, ALICE])
    }
    expect(keys('12', { type: 'm.room.message' })).to.have.members([POWER, ALICE])
  })

  const memberships = [
    { membership: 'join', stateKey: alice, expected: [CREATE, POWER, ALICE, RULES] },
    { membership: 'invite', stateKey: bob, expected: [CREATE, POWER, ALICE, BOB, RULES] },
    { membership: 'knock', stateKey: alice, expected: [CREATE, POWER, ALICE, RULES] },
    { membership: 'leave', stateKey: bob, expected: [CREATE, POWER, ALICE, BOB] },
    { membership: 'ban', stateKey: bob, expected: [CREATE, POWER, ALICE, BOB] },
  ]
  for (const { membership, stateKey, expected } of memberships) {
    it(`selects for ${membership}`, () => {
      const input = { type: 'm.room.member', stateKey, content: { membership } }
      expect(keys('11', input)).to.have.members(expected).and.have.length(expected.length)
    })
  }

  it('selects the third-party invite that an invitation names', () => {
    const content = { membership: 'invite', third_party_invite: { signed: { token: 'abc' } } }
    const invite = { type: 'm.room.member', stateKey: bob, content }
    expect(keys('1', invite)).to.include('m.room.third_party_invite/abc')
    const join = { ...invite, content: { ...content, membership: 'join' } }
    expect(keys('1', join)).not.to.include('m.room.third_party_invite/abc')
  })

  it('selects who authorises a join, where the version knows restricted rooms', () => {
    const content = { membership: 'join', join_authorised_via_users_server: bob }
    const join = { type: 'm.room.member', stateKey: alice, content }
    for (const version of versions(1, 7)) expect(keys(version, join)).not.to.include(BOB)
    for (const version of versions(8, 12)) expect(keys(version, join)).to.include(BOB)
    const leave = { ...join, content: { ...content, membership: 'leave' } }
    expect(keys('12', leave)).not.to.include(BOB)
  })

  it('leaves out what cannot be a state key', () => {
    const invite = (token: string): string[] =>
      keys('11', {
        type: 'm.room.member',
        stateKey: bob,
        content: { membership: 'invite', third_party_invite: { signed: { token } } },
      })
    expect(invite('a\u0000b')).to.have.length(5)
    expect(invite('a\ud800')).to.have.length(5)
    expect(invite('ä'.repeat(128))).to.have.length(5)
    expect(invite('ä'.repeat(127))).to.have.length(6)
  })
})

describe('authStateKeys', () => {
  it('has the create event in every version', () => {
    for (const version of versions(1, 12)) {
      const draft = { type: 'm.room.message', sender: alice, content: {} }
      const found = authStateKeys(rulesOf(version), draft)
      expect(found.map(([type]) => type)).to.have.members([
        'm.room.create',
        'm.room.power_levels',
        'm.room.member',
      ])
    }
  })

  it('is empty for the create event', () => {
    const draft = { type: 'm.room.create', sender: alice, stateKey: '', content: {} }
    expect(authStateKeys(rulesOf('12'), draft)).to.deep.equal([])
  })
})

describe('thirdPartyToken', () => {
  it('is undefined for anything else than a text', () => {
    expect(thirdPartyToken({})).to.be.undefined
    expect(thirdPartyToken({ third_party_invite: 'x' })).to.be.undefined
    expect(thirdPartyToken({ third_party_invite: { signed: [] } })).to.be.undefined
    expect(thirdPartyToken({ third_party_invite: { signed: { token: 1 } } })).to.be.undefined
  })
})
