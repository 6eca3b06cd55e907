import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { HierarchyRequest } from '../../../../src/services/rooms/space-hierarchy.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

forEachDatabase('SpaceHierarchy', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let root: RoomId

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    root = await space()
  })

  const space = (): Promise<RoomId> => {
    fixture.clock.advance(1)
    return fixture.createRoom(alice, { preset: 'public_chat', creationContent: { type: 'm.space' } })
  }
  const room = (preset: 'public_chat' | 'private_chat' = 'public_chat'): Promise<RoomId> => {
    fixture.clock.advance(1)
    return fixture.createRoom(alice, { preset })
  }
  const link = async (parent: RoomId, child: string, content: JsonObject = {}): Promise<void> => {
    fixture.clock.advance(1)
    await fixture.services.roomSending.setState(alice, {
      roomId: parent,
      type: 'm.space.child',
      stateKey: child,
      content: { via: ['hs.test'], ...content },
    })
  }
  const list = (request: Partial<HierarchyRequest> = {}, reader = alice): Promise<JsonObject> =>
    fixture.services.spaceHierarchy.list(reader.userId, {
      roomId: root,
      suggestedOnly: false,
      maxDepth: undefined,
      limit: undefined,
      from: undefined,
      ...request,
    })
  const ids = async (request: Partial<HierarchyRequest> = {}, reader = alice): Promise<unknown[]> =>
    ((await list(request, reader))['rooms'] as JsonObject[]).map((found) => found['room_id'])

  it('goes depth first, children in their order', async () => {
    const [a, b, c, d, inner] = [await room(), await room(), await room(), await room(), await space()]
    await link(root, a)
    await link(root, inner, { order: 'b' })
    await link(root, b, { order: 'a' })
    await link(root, c, { order: 'not\u0007valid' })
    await link(inner, d)
    expect(await ids()).to.deep.equal([root, b, inner, d, a, c])
    expect(await ids({ maxDepth: 1 })).to.deep.equal([root, b, inner, a, c])
    expect(await ids({ maxDepth: 0 })).to.deep.equal([root])
  })

  it('shows the links of spaces, also of those that it does not follow', async () => {
    const [a, inner] = [await room(), await space()]
    await link(root, inner, { suggested: true })
    await link(inner, a)
    const { rooms } = await list({ maxDepth: 1 })
    const children = (rooms as JsonObject[]).map((found) => found['children_state'] as JsonObject[])
    expect(children.map((links) => links.map((child) => child['state_key']))).to.deep.equal([[inner], [a]])
    expect(Object.keys(children[0]![0]!).sort()).to.deep.equal([
      'content',
      'origin_server_ts',
      'sender',
      'state_key',
      'type',
    ])
    expect(await ids({ suggestedOnly: true })).to.deep.equal([root, inner])
  })

  it('follows no links that are taken back or name nothing, and none of rooms that are no spaces', async () => {
    const [a, b, c] = [await room(), await room(), await room()]
    await link(root, a)
    await link(a, b)
    await link(root, c)
    await link(root, c, { via: [] })
    await link(root, 'nonsense')
    await link(root, '!unknown:elsewhere.test')
    const { rooms } = await list()
    const [first, ...others] = rooms as JsonObject[]
    expect(others.map((found) => [found['room_id'], found['children_state']])).to.deep.equal([[a, []]])
    expect((first!['children_state'] as JsonObject[]).map((child) => child['state_key'])).to.deep.equal([
      a,
      '!unknown:elsewhere.test',
    ])
  })

  it('shows a room once, however often it is linked', async () => {
    const [a, inner] = [await room(), await space()]
    await link(root, inner)
    await link(inner, root)
    await link(inner, a)
    await link(root, a)
    await link(inner, inner)
    expect(await ids()).to.deep.equal([root, inner, a])
  })

  it('goes on where a page ended', async () => {
    const rooms = [await room(), await room(), await room()]
    for (const child of rooms) await link(root, child)
    const first = await list({ limit: 2 })
    expect((first['rooms'] as JsonObject[]).map((found) => found['room_id'])).to.deep.equal([root, rooms[0]])
    const from = first['next_batch'] as string
    const second = await list({ from })
    expect((second['rooms'] as JsonObject[]).map((found) => found['room_id'])).to.deep.equal(rooms.slice(1))
    expect(second).not.to.have.property('next_batch')
    for (const bad of [{ from, suggestedOnly: true }, { from, maxDepth: 3 }, { from: 'h_a' }, { from: '' }]) {
      expect(await rejection(list(bad))).to.include({ errcode: 'M_INVALID_PARAM' })
    }
  })

  it('leaves out what the reader may not look at, and what lies behind it', async () => {
    const [open, closed, behind] = [await room(), await room('private_chat'), await room()]
    const hidden = await fixture.createRoom(alice, {
      preset: 'private_chat',
      creationContent: { type: 'm.space' },
    })
    await link(root, open)
    await link(root, closed)
    await link(root, hidden)
    await link(hidden, behind)
    expect(await ids({}, bob)).to.deep.equal([root, open])
    expect(await ids()).to.deep.equal([root, open, closed, hidden, behind])
    expect(await rejection(list({ roomId: closed }, bob))).to.include({ errcode: 'M_FORBIDDEN' })
    expect(await rejection(list({ roomId: '!unknown:hs.test' as RoomId }))).to.include({
      errcode: 'M_FORBIDDEN',
    })
  })
})
