import { expect } from 'chai'
import type { RoomAlias, RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

const CATS = '#cats:hs.test' as RoomAlias
const DOGS = '#dogs:hs.test' as RoomAlias

forEachDatabase('aliases', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let roomId: RoomId

  beforeEach(async () => {
    fixture = await createRoomFixture(await open(), {
      aliasCreationRules: [
        { userId: '@carol:*', alias: '*', roomId: '*', action: 'deny' },
        { userId: '*', alias: '*', roomId: '*', action: 'allow' },
      ],
    })
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, roomId)
  })

  const aliases = () => fixture.services.aliases
  const refused = async (attempt: Promise<unknown>, errcode: string, status?: number): Promise<void> => {
    const error = await rejection(attempt)
    expect(error).to.have.property('errcode', errcode)
    if (status !== undefined) expect(error).to.have.property('status', status)
  }
  const setCanonical = (content: { alias?: string | null; alt_aliases?: string[] }, by = alice) =>
    fixture.services.roomSending.setState(by, {
      roomId,
      type: 'm.room.canonical_alias',
      stateKey: '',
      content,
    })

  it('are made, resolved, listed and removed', async () => {
    await aliases().create(bob, CATS, roomId)
    await aliases().create(alice, '#老虎🤨:hs.test' as RoomAlias, roomId)
    expect(await aliases().resolve(CATS)).to.deep.equal({ roomId, servers: ['hs.test'] })
    expect(await aliases().list(alice, roomId)).to.have.members([CATS, '#老虎🤨:hs.test'])
    await aliases().delete(bob, CATS)
    await refused(aliases().resolve(CATS), 'M_NOT_FOUND', 404)
    await refused(aliases().delete(bob, CATS), 'M_NOT_FOUND', 404)
  })

  it('are refused to strangers, to those whom rules refuse, and twice', async () => {
    const carol = await fixture.user('carol')
    const dave = await fixture.user('dave')
    await fixture.services.roomMembership.join(carol, roomId)
    await refused(aliases().create(carol, CATS, roomId), 'M_FORBIDDEN', 403)
    await refused(aliases().create(dave, CATS, roomId), 'M_FORBIDDEN', 403)
    await refused(aliases().list(dave, roomId), 'M_FORBIDDEN', 403)
    await refused(aliases().create(alice, '#cats:example.org' as RoomAlias, roomId), 'M_INVALID_PARAM', 400)
    await refused(aliases().create(alice, '#two words:hs.test' as RoomAlias, roomId), 'M_INVALID_PARAM', 400)
    await refused(aliases().create(alice, CATS, '!unknown:hs.test' as RoomId), 'M_NOT_FOUND', 404)
    await aliases().create(alice, CATS, roomId)
    await refused(aliases().create(alice, CATS, roomId), 'M_UNKNOWN', 409)
    await aliases().create({ ...dave, isAdmin: true }, DOGS, roomId)
  })

  it('are removed by who made them, moderators and administrators', async () => {
    await aliases().create(alice, CATS, roomId)
    await refused(aliases().delete(bob, CATS), 'M_FORBIDDEN', 403)
    await aliases().delete({ ...bob, isAdmin: true }, CATS)
    await aliases().create(bob, CATS, roomId)
    await aliases().delete(alice, CATS)
  })

  it('take the canonical alias with them where the requester may change it', async () => {
    await aliases().create(alice, CATS, roomId)
    await aliases().create(bob, DOGS, roomId)
    await setCanonical({ alias: CATS, alt_aliases: [DOGS] })
    await aliases().delete(bob, DOGS)
    expect(await fixture.state(roomId, 'm.room.canonical_alias')).to.deep.equal({
      alias: CATS,
      alt_aliases: [DOGS],
    })
    await aliases().delete(alice, CATS)
    expect(await fixture.state(roomId, 'm.room.canonical_alias')).to.deep.equal({ alt_aliases: [DOGS] })
  })

  it('are canonical only where they lead to the room', async () => {
    await aliases().create(alice, CATS, roomId)
    const other = await fixture.createRoom(alice)
    await aliases().create(alice, DOGS, other)
    await refused(setCanonical({ alias: DOGS }), 'M_BAD_ALIAS', 400)
    await refused(setCanonical({ alias: CATS, alt_aliases: [DOGS] }), 'M_BAD_ALIAS', 400)
    await refused(setCanonical({ alias: '#none:hs.test' }), 'M_BAD_ALIAS', 400)
    await refused(setCanonical({ alias: '#cats:example.org' }), 'M_BAD_ALIAS', 400)
    await refused(setCanonical({ alias: '%cats:hs.test' }), 'M_INVALID_PARAM', 400)
    await refused(setCanonical({ alt_aliases: ['%cats:hs.test'] }), 'M_INVALID_PARAM', 400)
    await refused(setCanonical({ alt_aliases: 'cats' as never }), 'M_INVALID_PARAM', 400)
    await setCanonical({ alias: CATS, alt_aliases: [CATS] })
    await aliases().delete({ ...bob, isAdmin: true }, CATS)
    // What the event says already is not looked at again.
    await setCanonical({ alias: CATS })
    await setCanonical({ alias: null })
    await refused(setCanonical({ alias: CATS }), 'M_BAD_ALIAS', 400)
  })

  it('are listed to everybody where history is', async () => {
    const dave = await fixture.user('dave')
    await aliases().create(alice, CATS, roomId)
    await fixture.services.roomSending.setState(alice, {
      roomId,
      type: 'm.room.history_visibility',
      stateKey: '',
      content: { history_visibility: 'world_readable' },
    })
    expect(await aliases().list(dave, roomId)).to.deep.equal([CATS])
    await refused(aliases().list(dave, '!unknown:hs.test' as RoomId), 'M_FORBIDDEN', 403)
  })
})
