import { expect } from 'chai'
import { createSigningKey, signBytes, type Ed25519SigningKey } from '../../../src/protocol/ed25519.js'
import { signableText } from '../../../src/protocol/signed-json.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'
import { AuthRoom, versions, type AuthRoomOptions, type PlainEvent } from '../../support/auth-room.js'

const creator = '@creator:example.org'
const alice = '@alice:example.org'
const bob = '@bob:example.org'
const carol = '@carol:example.org'

interface MemberCase {
  readonly room?: AuthRoomOptions
  readonly sender: string
  readonly target?: string
  readonly membership?: JsonValue
  readonly content?: JsonObject
  readonly event?: Partial<PlainEvent>
}

function member(version: string, { room, sender, target, membership, content, event }: MemberCase): string {
  return new AuthRoom(version, room).verdict({
    type: 'm.room.member',
    sender,
    stateKey: target ?? sender,
    content: { ...(membership !== undefined && { membership }), ...content },
    ...event,
  })
}

function inAll(
  expected: string,
  given: MemberCase,
  [first, last]: readonly [number, number] = [1, 12],
): void {
  for (const version of versions(first, last)) expect(member(version, given), version).to.equal(expected)
}

describe('checkMembership: form', () => {
  it('wants a state key and a membership (5.1)', () => {
    for (const version of versions(1, 12)) {
      const room = new AuthRoom(version, { joinRule: 'public' })
      const event = { type: 'm.room.member', sender: alice }
      expect(room.verdict({ ...event, content: { membership: 'join' } })).to.equal('5.1')
      expect(room.verdict({ ...event, stateKey: alice })).to.equal('5.1')
    }
  })

  it('knows five memberships, knocks since version 7 (5.8)', () => {
    for (const membership of ['', 'JOIN', 'kick', 5, null, {}]) inAll('5.8', { sender: alice, membership })
    const room = { joinRule: 'knock' }
    inAll('5.8', { room, sender: alice, membership: 'knock' }, [1, 6])
    inAll('allowed', { room, sender: alice, membership: 'knock' }, [7, 12])
  })

  it('wants the signature of the server that authorises, whatever the membership, since version 8 (5.2)', () => {
    const given = {
      room: { members: { [alice]: 'join' } },
      sender: alice,
      membership: 'leave',
      content: { join_authorised_via_users_server: '@x:other.example' },
    }
    inAll('allowed', given, [1, 7])
    inAll('5.2.1', given, [8, 12])
    const event = { signatures: { 'other.example': { 'ed25519:1': 'x' } } }
    inAll('allowed', { ...given, event }, [8, 12])
    inAll('5.2.1', { ...given, content: { join_authorised_via_users_server: 5 } }, [8, 12])
    inAll('5.2.1', { ...given, content: { join_authorised_via_users_server: '@x:constructor' } }, [8, 12])
  })
})

describe('checkMembership: join (5.3)', () => {
  const first = { prevEvents: ['$create:example.org'] }

  it('lets the creator in first (5.3.1)', () => {
    inAll('allowed', { sender: creator, membership: 'join', event: first })
    inAll('5.3.4', { sender: alice, membership: 'join', event: first })
    inAll('5.3.4', { sender: creator, membership: 'join', event: { prevEvents: ['$other:example.org'] } })
    inAll('5.3.4', {
      sender: creator,
      membership: 'join',
      event: { prevEvents: [...first.prevEvents, '$x:y'] },
    })
    inAll('5.3.4', { sender: creator, membership: 'join' })
  })

  it('takes the creator from the content up to version 10, from the sender since', () => {
    const room = { createContent: { creator: alice, additional_creators: [bob] } }
    inAll('allowed', { room, sender: alice, membership: 'join', event: first }, [1, 10])
    inAll('5.3.4', { room, sender: alice, membership: 'join', event: first }, [11, 12])
    inAll('5.3.4', { room, sender: creator, membership: 'join', event: first }, [1, 10])
    inAll('allowed', { room, sender: creator, membership: 'join', event: first }, [11, 12])
    inAll('5.3.4', { room, sender: bob, membership: 'join', event: first }, [12, 12])
  })

  it('is for oneself (5.3.2)', () => {
    const members = { [alice]: 'join' }
    inAll('5.3.2', { room: { members, joinRule: 'public' }, sender: alice, target: bob, membership: 'join' })
  })

  it('is not for the banned (5.3.3)', () => {
    for (const joinRule of ['public', 'invite', 'knock', 'restricted']) {
      inAll('5.3.3', { room: { members: { [alice]: 'ban' }, joinRule }, sender: alice, membership: 'join' })
    }
  })

  /** For a join rule: the first version in which the invited may join; whether anybody may. */
  const rules: { joinRule: JsonValue | undefined; since: number; refusal: string; open?: boolean }[] = [
    { joinRule: 'public', since: 1, refusal: '', open: true },
    { joinRule: 'invite', since: 1, refusal: '5.3.4' },
    { joinRule: undefined, since: 1, refusal: '5.3.4' },
    { joinRule: 5, since: 1, refusal: '5.3.4' },
    { joinRule: 'knock', since: 7, refusal: '5.3.4' },
    { joinRule: 'restricted', since: 8, refusal: '5.3.5.2' },
    { joinRule: 'knock_restricted', since: 10, refusal: '5.3.5.2' },
    { joinRule: 'private', since: 13, refusal: '' },
    { joinRule: 'org.example.new', since: 13, refusal: '' },
  ]
  for (const { joinRule, since, refusal, open } of rules) {
    it(`goes by the join rule ${JSON.stringify(joinRule)}`, () => {
      for (const version of versions(1, 12)) {
        const isKnown = Number(version) >= since
        for (const membership of ['invite', 'join', 'leave', 'knock', undefined]) {
          const members = membership === undefined ? {} : { [alice]: membership }
          const room = { members, ...(joinRule !== undefined && { joinRule }) }
          const isIn = membership === 'invite' || membership === 'join'
          const allowed = open === true || (isKnown && isIn)
          const expected = allowed ? 'allowed' : isKnown ? refusal : '5.3.7'
          expect(member(version, { room, sender: alice, membership: 'join' }), version).to.equal(expected)
        }
      }
    })
  }

  it('is authorised by a member who may invite, where the rule is restricted (5.3.5.2)', () => {
    const authorised = (
      joinRule: string,
      members: Record<string, string>,
      levels: JsonObject,
    ): MemberCase => ({
      room: { joinRule, members, levels },
      sender: alice,
      membership: 'join',
      content: { join_authorised_via_users_server: bob },
      event: { signatures: { 'example.org': { 'ed25519:1': 'x' } } },
    })
    for (const [joinRule, since] of [
      ['restricted', 8],
      ['knock_restricted', 10],
    ] as const) {
      const upwards = [since, 12] as const
      inAll('allowed', authorised(joinRule, { [bob]: 'join' }, {}), upwards)
      inAll('allowed', authorised(joinRule, { [bob]: 'join' }, { invite: 50, users: { [bob]: 50 } }), upwards)
      inAll('5.3.5.2', authorised(joinRule, { [bob]: 'join' }, { invite: 50, users: { [bob]: 49 } }), upwards)
      inAll('5.3.5.2', authorised(joinRule, { [bob]: 'invite' }, {}), upwards)
      inAll('5.3.5.2', authorised(joinRule, {}, {}), upwards)
      inAll('5.3.7', authorised(joinRule, { [bob]: 'join' }, {}), [1, since - 1])
    }
  })
})

describe('checkMembership: invite (5.4)', () => {
  const invite = { sender: alice, target: bob, membership: 'invite' }

  it('is by members (5.4.2)', () => {
    for (const membership of ['leave', 'invite', 'ban', 'knock']) {
      inAll('5.4.2', { ...invite, room: { members: { [alice]: membership } } })
    }
    inAll('5.4.2', invite)
    inAll('allowed', { ...invite, room: { members: { [alice]: 'join' } } })
  })

  it('is for those who are neither in nor banned (5.4.3)', () => {
    const room = (membership: string): AuthRoomOptions => ({
      members: { [alice]: 'join', [bob]: membership },
    })
    for (const membership of ['join', 'ban']) inAll('5.4.3', { ...invite, room: room(membership) })
    for (const membership of ['leave', 'invite', 'knock'])
      inAll('allowed', { ...invite, room: room(membership) })
  })

  it('takes the invite level (5.4.4)', () => {
    const room = (level: number): AuthRoomOptions => ({
      members: { [alice]: 'join' },
      levels: { invite: 30, users: { [alice]: level } },
    })
    inAll('allowed', { ...invite, room: room(30) })
    inAll('5.4.5', { ...invite, room: room(29) })
  })
})

describe('checkMembership: third-party invites (5.4.1)', () => {
  let key: Ed25519SigningKey
  let otherKey: Ed25519SigningKey
  before(async () => {
    key = createSigningKey(Buffer.alloc(32, 1))
    otherKey = createSigningKey(Buffer.alloc(32, 2))
  })

  function signed(change: JsonObject = {}, signer = key): JsonObject {
    const json = { mxid: bob, token: 'abc', ...change }
    return { ...json, signatures: { 'id.example': { 'ed25519:0': signBytes(signer, signableText(json)) } } }
  }
  function given(thirdParty: JsonValue, room: AuthRoomOptions = {}): MemberCase {
    const further = [
      {
        type: 'm.room.third_party_invite',
        sender: alice,
        stateKey: 'abc',
        content: { public_key: key.verifyKey.base64 },
      },
    ]
    return {
      room: { further, ...room },
      sender: alice,
      target: bob,
      membership: 'invite',
      content: { third_party_invite: thirdParty },
    }
  }
  function withKeys(content: JsonObject): AuthRoomOptions {
    return { further: [{ type: 'm.room.third_party_invite', sender: alice, stateKey: 'abc', content }] }
  }

  it('is allowed with a valid signature, of whoever sent the third-party invite', () => {
    inAll('allowed', given({ signed: signed() }))
  })

  it('is checked step by step', () => {
    inAll('5.4.1.1', given({ signed: signed() }, { members: { [bob]: 'ban' } }))
    for (const nothing of [{}, null, 'x', { signed: 'x' }] as JsonValue[]) inAll('5.4.1.2', given(nothing))
    inAll('5.4.1.3', given({ signed: { token: 'abc' } }))
    inAll('5.4.1.3', given({ signed: { mxid: bob } }))
    inAll('5.4.1.3', given({ signed: { mxid: bob, token: 5 } }))
    inAll('5.4.1.4', given({ signed: signed({ mxid: carol }) }))
    inAll('5.4.1.5', given({ signed: signed({ token: 'xyz' }) }))
    inAll('5.4.1.6', { ...given({ signed: signed() }), sender: carol })
  })

  it('takes any signature by any key (5.4.1.7)', () => {
    const other = otherKey.verifyKey.base64
    const own = key.verifyKey.base64
    const listed = (keys: JsonValue): AuthRoomOptions => withKeys({ public_key: other, public_keys: keys })
    inAll('allowed', given({ signed: signed() }, listed([{ public_key: own }])))
    inAll('allowed', given({ signed: signed() }, listed([{ public_key: other }, { public_key: own }])))
    const { signatures, ...rest } = signed()
    const more = {
      ...rest,
      signatures: { 'x.example': { 'ed25519:1': 'AAAA' }, ...(signatures as JsonObject) },
    }
    inAll('allowed', given({ signed: more }))
  })

  it('is refused without one (5.4.1.8)', () => {
    inAll('5.4.1.8', given({ signed: signed({}, otherKey) }))
    inAll('5.4.1.8', given({ signed: { ...signed(), more: true } }))
    inAll('5.4.1.8', given({ signed: { mxid: bob, token: 'abc' } }))
    inAll('5.4.1.8', given({ signed: { mxid: bob, token: 'abc', signatures: [] } }))
    for (const content of [
      {},
      { public_key: 5 },
      { public_keys: 'x' },
      { public_key: 'AAAA' },
    ] as JsonObject[]) {
      inAll('5.4.1.8', given({ signed: signed() }, withKeys(content)))
    }
  })
})

describe('checkMembership: leave (5.5)', () => {
  const kick = { sender: alice, target: bob, membership: 'leave' }
  const levels = (ofAlice: number, ofBob: number, more: JsonObject = {}): JsonObject => ({
    users: { [alice]: ofAlice, [bob]: ofBob },
    ...more,
  })
  const room = (membership: string, given: JsonObject): AuthRoomOptions => ({
    members: { [alice]: 'join', [bob]: membership },
    levels: given,
  })

  it('is for those who are in or invited, since version 7 who knock (5.5.1)', () => {
    const leave = (membership: string): MemberCase => ({
      room: { members: { [alice]: membership } },
      sender: alice,
      membership: 'leave',
    })
    for (const membership of ['join', 'invite']) inAll('allowed', leave(membership))
    for (const membership of ['leave', 'ban']) inAll('5.5.1', leave(membership))
    inAll('5.5.1', { sender: alice, membership: 'leave' })
    inAll('5.5.1', leave('knock'), [1, 6])
    inAll('allowed', leave('knock'), [7, 12])
  })

  it('is by members for others (5.5.2)', () => {
    for (const membership of ['leave', 'invite', 'ban', 'knock']) {
      inAll('5.5.2', { ...kick, room: { members: { [alice]: membership, [bob]: 'join' } } })
    }
  })

  it('takes the kick level and more power than the other has (5.5.4)', () => {
    inAll('allowed', { ...kick, room: room('join', levels(50, 49)) })
    inAll('allowed', { ...kick, room: room('invite', levels(50, 0)) })
    inAll('5.5.5', { ...kick, room: room('join', levels(50, 50)) })
    inAll('5.5.5', { ...kick, room: room('join', levels(49, 0)) })
    inAll('allowed', { ...kick, room: room('join', levels(10, 0, { kick: 10 })) })
  })

  it('takes the ban level too where a ban is lifted (5.5.3)', () => {
    inAll('5.5.3', { ...kick, room: room('ban', levels(50, 0, { ban: 51 })) })
    inAll('allowed', { ...kick, room: room('ban', levels(51, 0, { ban: 51 })) })
    inAll('5.5.5', { ...kick, room: room('ban', levels(51, 0, { ban: 51, kick: 60 })) })
  })

  it('spares creators of version 12, also from each other', () => {
    const creators: AuthRoomOptions = {
      members: { [creator]: 'join', [alice]: 'join', [bob]: 'join' },
      createContent: { additional_creators: [alice] },
      levels: { users: { [bob]: 1_000_000 } },
    }
    expect(member('12', { room: creators, sender: bob, target: creator, membership: 'leave' })).to.equal(
      '5.5.5',
    )
    expect(member('12', { room: creators, sender: alice, target: creator, membership: 'leave' })).to.equal(
      '5.5.5',
    )
    expect(member('12', { room: creators, sender: alice, target: bob, membership: 'leave' })).to.equal(
      'allowed',
    )
    expect(member('12', { room: creators, sender: creator, target: alice, membership: 'ban' })).to.equal(
      '5.6.3',
    )
  })
})

describe('checkMembership: ban (5.6)', () => {
  const ban = { sender: alice, target: bob, membership: 'ban' }
  const room = (ofAlice: number, ofBob: number, more: JsonObject = {}): AuthRoomOptions => ({
    members: { [alice]: 'join' },
    levels: { users: { [alice]: ofAlice, [bob]: ofBob }, ...more },
  })

  it('is by members (5.6.1)', () => {
    for (const membership of ['leave', 'invite', 'ban', 'knock']) {
      inAll('5.6.1', { ...ban, room: { members: { [alice]: membership } } })
    }
  })

  it('takes the ban level and more power than the other has (5.6.2)', () => {
    inAll('allowed', { ...ban, room: room(50, 49) })
    inAll('5.6.3', { ...ban, room: room(49, 0) })
    inAll('5.6.3', { ...ban, room: room(50, 50) })
    inAll('5.6.3', { ...ban, room: room(50, 0, { ban: 51 }) })
    inAll('5.6.3', { ...ban, target: alice, room: room(50, 0) })
  })
})

describe('checkMembership: knock (5.7)', () => {
  const knock = { sender: alice, membership: 'knock' }

  it('takes a join rule that allows it (5.7.1)', () => {
    for (const joinRule of ['public', 'invite', 'private', 'restricted']) {
      inAll('5.7.1', { ...knock, room: { joinRule } }, [7, 12])
    }
    inAll('5.7.1', knock, [7, 12])
    inAll('allowed', { ...knock, room: { joinRule: 'knock' } }, [7, 12])
    inAll('5.7.1', { ...knock, room: { joinRule: 'knock_restricted' } }, [7, 9])
    inAll('allowed', { ...knock, room: { joinRule: 'knock_restricted' } }, [10, 12])
  })

  it('is for oneself (5.7.2)', () => {
    const room = { joinRule: 'knock', members: { [alice]: 'join' } }
    inAll('5.7.2', { ...knock, room, target: bob }, [7, 12])
  })

  it('is not for those who are banned, invited or in (5.7.3)', () => {
    for (const membership of ['ban', 'invite', 'join']) {
      inAll('5.7.4', { ...knock, room: { joinRule: 'knock', members: { [alice]: membership } } }, [7, 12])
    }
    for (const membership of ['leave', 'knock']) {
      inAll('allowed', { ...knock, room: { joinRule: 'knock', members: { [alice]: membership } } }, [7, 12])
    }
  })
})
