import { expect } from 'chai'
import { checkAuthEvents, checkEventAuth } from '../../../src/protocol/event-auth.js'
import type { JsonValue } from '../../../src/util/json.js'
import { AuthRoom, plainEvent, rulesOf, versions, type PlainEvent } from '../../support/auth-room.js'

const creator = '@creator:example.org'
const alice = '@alice:example.org'
const bob = '@bob:example.org'
const remote = '@remote:other.example'
const nobody = { get: () => undefined }

function create(version: string, change: Partial<PlainEvent> = {}): string {
  const rules = rulesOf(version)
  const content = { room_version: version, creator, ...change.content }
  const event = plainEvent(rules, {
    type: 'm.room.create',
    sender: creator,
    stateKey: '',
    ...change,
    content,
  })
  const verdict = checkEventAuth(rules, event, nobody)
  return verdict.allowed ? 'allowed' : verdict.rule
}

describe('checkEventAuth: create events (rule 1)', () => {
  for (const version of versions(1, 12)) {
    it(`takes a proper one in version ${version}`, () => {
      expect(create(version)).to.equal('allowed')
    })

    it(`refuses previous events in version ${version}`, () => {
      expect(create(version, { prevEvents: ['$other:example.org'] })).to.equal('1.1')
    })

    it(`takes a known room version or none in version ${version}`, () => {
      const refused: JsonValue[] = ['13', 'org.example.unknown', 5, null, ['1'], '']
      for (const value of refused) {
        expect(create(version, { content: { room_version: value } })).to.equal('1.3')
      }
      expect(create(version, { content: { room_version: '1' } })).to.equal('allowed')
    })
  }

  it('wants the server name of the sender in the room ID before version 12', () => {
    for (const version of versions(1, 11)) {
      expect(create(version, { sender: remote, content: { creator: remote } })).to.equal('v1:1.2')
    }
    expect(create('12', { sender: remote })).to.equal('allowed')
  })

  it('refuses a room_id in version 12', () => {
    const rules = rulesOf('12')
    const proper = plainEvent(rules, { type: 'm.room.create', sender: creator, stateKey: '' })
    const json = { ...proper.json, room_id: proper.roomId }
    const event = Object.assign(
      Object.create(Object.getPrototypeOf(proper) as object) as typeof proper,
      proper,
      {
        json,
      },
    )
    expect(checkEventAuth(rules, event, nobody)).to.include({ allowed: false, rule: '1.2' })
  })

  it('wants a creator in the content up to version 10', () => {
    for (const version of versions(1, 12)) {
      const rules = rulesOf(version)
      const event = plainEvent(rules, { type: 'm.room.create', sender: creator, stateKey: '' })
      const verdict = checkEventAuth(rules, event, nobody)
      expect(verdict.allowed).to.equal(Number(version) > 10)
    }
  })

  it('wants user IDs as additional creators in version 12', () => {
    const refused: JsonValue[] = [
      'x',
      {},
      [1],
      ['alice'],
      ['@alice'],
      [alice, null],
      [`@${'a'.repeat(255)}:example.org`],
    ]
    for (const value of refused) {
      expect(create('12', { content: { additional_creators: value } })).to.equal('1.4')
      expect(create('11', { content: { additional_creators: value } })).to.equal('allowed')
    }
    expect(create('12', { content: { additional_creators: [] } })).to.equal('allowed')
    expect(create('12', { content: { additional_creators: [alice, remote] } })).to.equal('allowed')
  })
})

describe('checkEventAuth: the room', () => {
  for (const version of versions(1, 12)) {
    it(`wants the create event of the room in version ${version} (2)`, () => {
      const message = { type: 'm.room.message', sender: alice }
      const event = plainEvent(rulesOf(version), message)
      expect(checkEventAuth(rulesOf(version), event, nobody)).to.include({ allowed: false, rule: '2' })
      const room = new AuthRoom(version, { members: { [alice]: 'join' } })
      expect(room.verdict(message)).to.equal('allowed')
      expect(room.verdict({ ...message, roomId: '!elsewhere:example.org' })).to.equal('2')
    })

    it(`is closed to other servers where it does not federate in version ${version} (4)`, () => {
      const members = { [alice]: 'join', [remote]: 'join' }
      const room = (federate: JsonValue): AuthRoom =>
        new AuthRoom(version, { members, createContent: { 'm.federate': federate } })
      expect(room(false).verdict({ type: 'm.room.message', sender: remote })).to.equal('4')
      expect(room(false).verdict({ type: 'm.room.message', sender: alice })).to.equal('allowed')
      expect(room(true).verdict({ type: 'm.room.message', sender: remote })).to.equal('allowed')
    })

    it(`takes events of members alone in version ${version} (6)`, () => {
      for (const membership of ['invite', 'leave', 'ban', 'knock']) {
        const room = new AuthRoom(version, { members: { [alice]: membership } })
        expect(room.verdict({ type: 'm.room.message', sender: alice })).to.equal('6')
      }
      expect(new AuthRoom(version).verdict({ type: 'm.room.message', sender: alice })).to.equal('6')
    })
  }
})

describe('checkEventAuth: aliases (v1:4)', () => {
  const aliases = { type: 'm.room.aliases', sender: alice, content: { aliases: [] } }

  it('belong to the server in the state key up to version 5, of members or not', () => {
    for (const version of versions(1, 5)) {
      const room = new AuthRoom(version)
      expect(room.verdict({ ...aliases, stateKey: 'example.org' })).to.equal('allowed')
      expect(room.verdict({ ...aliases, stateKey: 'other.example' })).to.equal('v1:4.2')
      expect(room.verdict(aliases)).to.equal('v1:4.1')
    }
  })

  it('are state like any other from version 6 on', () => {
    for (const version of versions(6, 12)) {
      expect(new AuthRoom(version).verdict({ ...aliases, stateKey: 'example.org' })).to.equal('6')
      const room = new AuthRoom(version, { members: { [alice]: 'join' } })
      expect(room.verdict({ ...aliases, stateKey: 'example.org' })).to.equal('8')
    }
  })
})

describe('checkEventAuth: by power', () => {
  for (const version of versions(1, 12)) {
    const members = { [alice]: 'join', [bob]: 'join', [creator]: 'join' }
    const room = new AuthRoom(version, {
      members,
      levels: {
        users: { [alice]: 50 },
        invite: 50,
        events: { 'org.example.high': 60, 'org.example.low': 10 },
      },
    })

    it(`takes the invite level for third-party invites, whatever their type's level, in version ${version} (7)`, () => {
      const invite = { type: 'm.room.third_party_invite', stateKey: 'token' }
      expect(room.verdict({ ...invite, sender: alice })).to.equal('allowed')
      expect(room.verdict({ ...invite, sender: bob })).to.equal('7.1')
    })

    it(`takes the level of the event's type in version ${version} (8)`, () => {
      expect(room.verdict({ type: 'org.example.high', sender: alice })).to.equal('8')
      expect(room.verdict({ type: 'org.example.low', sender: alice, stateKey: '' })).to.equal('allowed')
      expect(room.verdict({ type: 'org.example.low', sender: bob })).to.equal('8')
      expect(room.verdict({ type: 'org.example.any', sender: bob })).to.equal('allowed')
      expect(room.verdict({ type: 'org.example.any', sender: bob, stateKey: '' })).to.equal('8')
      expect(room.verdict({ type: 'org.example.any', sender: alice, stateKey: '' })).to.equal('allowed')
    })

    it(`gives the creator power in version ${version} as it should`, () => {
      const without = new AuthRoom(version, { members })
      expect(without.verdict({ type: 'm.room.name', sender: creator, stateKey: '' })).to.equal('allowed')
      expect(without.verdict({ type: 'm.room.name', sender: alice, stateKey: '' })).to.equal('8')
      const name = { type: 'org.example.high', sender: creator, stateKey: '' }
      expect(room.verdict(name)).to.equal(version === '12' ? 'allowed' : '8')
    })

    it(`keeps state keys that are user IDs for those users in version ${version} (9)`, () => {
      const state = { type: 'org.example.low', sender: alice }
      expect(room.verdict({ ...state, stateKey: alice })).to.equal('allowed')
      expect(room.verdict({ ...state, stateKey: bob })).to.equal('9')
      expect(room.verdict({ ...state, stateKey: '@' })).to.equal('9')
      expect(room.verdict({ ...state, stateKey: 'x@' })).to.equal('allowed')
    })
  }
})

describe('checkEventAuth: owned state (MSC3757)', () => {
  const room = new AuthRoom('org.matrix.msc3757.11', {
    members: { [alice]: 'join', [bob]: 'join' },
    levels: { users: { [alice]: 60, [bob]: 50, [remote]: 60 }, state_default: 50 },
  })
  const state = { type: 'org.example.owned', sender: alice }

  it('lets keys go on after the ID of the sender', () => {
    for (const stateKey of [alice, `${alice}_`, `${alice}_a device`, 'no ID']) {
      expect(room.verdict({ ...state, stateKey }), stateKey).to.equal('allowed')
    }
  })

  it('lets those write a key who are above its owner, and nobody else', () => {
    for (const suffix of ['', '_', '_device']) {
      expect(room.verdict({ ...state, stateKey: `${bob}${suffix}` })).to.equal('allowed')
      // As high as the sender is not below.
      expect(room.verdict({ ...state, stateKey: `${remote}${suffix}` })).to.equal('msc3757:9')
      expect(room.verdict({ ...state, sender: bob, stateKey: `${alice}${suffix}` })).to.equal('msc3757:9')
    }
  })

  it('refuses keys that begin like an ID and name nobody', () => {
    for (const stateKey of ['@', '@alice', '@alice_device', alice.replace(':', '_'), '@alice:_device']) {
      expect(room.verdict({ ...state, stateKey }), stateKey).to.equal('msc3757:9')
    }
  })
})

describe('checkEventAuth: redactions (v1:11)', () => {
  const members = { [alice]: 'join', [bob]: 'join' }
  const levels = { users: { [alice]: 50 } }
  const redaction = { type: 'm.room.redaction', eventId: '$redaction:example.org' }
  const elsewhere = '$target:other.example'

  it('take the redact level or the same server in versions 1 and 2', () => {
    for (const version of versions(1, 2)) {
      const room = new AuthRoom(version, { members, levels })
      expect(room.verdict({ ...redaction, sender: alice, redacts: elsewhere })).to.equal('allowed')
      expect(room.verdict({ ...redaction, sender: bob, redacts: elsewhere })).to.equal('v1:11.3')
      expect(room.verdict({ ...redaction, sender: bob, redacts: '$target:example.org' })).to.equal('allowed')
      expect(room.verdict({ ...redaction, sender: bob })).to.equal('v1:11.3')
    }
  })

  it('are events like any other from version 3 on', () => {
    for (const version of versions(3, 12)) {
      const room = new AuthRoom(version, { members, levels })
      expect(room.verdict({ ...redaction, sender: bob, redacts: elsewhere })).to.equal('allowed')
    }
  })
})

describe('checkAuthEvents', () => {
  const state = (
    version: string,
  ): Record<'create' | 'alice' | 'bob' | 'power', ReturnType<typeof plainEvent>> => {
    const rules = rulesOf(version)
    const member = (userId: string): ReturnType<typeof plainEvent> =>
      plainEvent(rules, {
        type: 'm.room.member',
        sender: userId,
        stateKey: userId,
        content: { membership: 'join' },
        eventId: `$${userId.slice(1)}`,
      })
    return {
      create: plainEvent(rules, { type: 'm.room.create', sender: creator, stateKey: '' }),
      alice: member(alice),
      bob: member(bob),
      power: plainEvent(rules, {
        type: 'm.room.power_levels',
        sender: creator,
        stateKey: '',
        eventId: '$power',
      }),
    }
  }
  const verdict = (
    version: string,
    entries: readonly (
      ReturnType<typeof plainEvent> | { event: ReturnType<typeof plainEvent>; rejected: boolean }
    )[],
  ): string => {
    const rules = rulesOf(version)
    const event = plainEvent(rules, { type: 'm.room.message', sender: alice })
    const given = entries.map((entry) => ('rejected' in entry ? entry : { event: entry, rejected: false }))
    const result = checkAuthEvents(rules, event, given)
    return result.allowed ? 'allowed' : result.rule
  }

  for (const version of versions(1, 12)) {
    const known = state(version)
    const createOnce = version === '12' ? [] : [known.create]

    it(`takes what the selection asks for in version ${version}`, () => {
      expect(verdict(version, [...createOnce, known.power, known.alice])).to.equal('allowed')
      expect(verdict(version, [...createOnce, known.alice])).to.equal('allowed')
    })

    it(`refuses two for one key in version ${version} (3.1)`, () => {
      expect(verdict(version, [...createOnce, known.alice, known.alice])).to.equal('3.1')
    })

    it(`refuses what was not asked for in version ${version} (3.2)`, () => {
      expect(verdict(version, [...createOnce, known.alice, known.bob])).to.equal('3.2')
      const message = plainEvent(rulesOf(version), { type: 'm.room.message', sender: alice })
      expect(verdict(version, [...createOnce, message])).to.equal('3.2')
    })

    it(`refuses what was rejected in version ${version} (3.3)`, () => {
      expect(verdict(version, [...createOnce, { event: known.alice, rejected: true }])).to.equal('3.3')
    })

    it(`refuses what is of another room in version ${version} (3.5)`, () => {
      const other = plainEvent(rulesOf(version), {
        type: 'm.room.member',
        sender: alice,
        stateKey: alice,
        roomId: '!other:example.org',
      })
      expect(verdict(version, [...createOnce, other])).to.equal('3.5')
    })

    it(`handles the create event as version ${version} does`, () => {
      expect(verdict(version, [known.alice])).to.equal(version === '12' ? 'allowed' : 'v1:2.4')
      expect(verdict(version, [known.create, known.alice])).to.equal(version === '12' ? '3.2' : 'allowed')
    })
  }

  it('leaves create events alone', () => {
    const { create: event } = state('11')
    expect(checkAuthEvents(rulesOf('11'), event, [])).to.deep.equal({ allowed: true })
  })
})
