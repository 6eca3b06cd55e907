import { expect } from 'chai'
import { annotateEvent } from '../../../../src/protocol/pdu.js'
import { EventTextsStore } from '../../../../src/storage/stores/event-texts.js'
import { RelayedEventsStore } from '../../../../src/storage/stores/relayed-events.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, CAROL, createEventFixture, createRoom } from '../../../support/event-services.js'

forEachDatabase('event texts', (open) => {
  it('are the events as other servers get them', async () => {
    const fixture = await createEventFixture(await open())
    const roomId = await createRoom(fixture, { version: '11' })
    const room = await fixture.roomState.requireRoom(roomId)
    const send = (type: string, content: object) =>
      fixture.sender.send({ userId: ALICE }, { roomId, type, content: content as never })
    const kept = await send('m.room.message', { body: 'kept', '"unsigned":': 1 })
    const gone = await send('m.room.message', { body: 'gone' })
    await send('m.room.redaction', { redacts: gone })
    const draft = { type: 'm.room.member', stateKey: CAROL, content: { membership: 'invite' } }
    const invite = await fixture.services.eventProposals.propose(room, { draft, sender: ALICE })
    const annotated = annotateEvent(invite, { invite_room_state: [] })
    const outside = await fixture.services.outsideMemberships.store(room, annotated)
    const nids = await fixture.stores.events.getNids(fixture.db.reader, [kept, gone])
    const wanted = [nids.get(kept)!, nids.get(gone)!, outside.eventNid, 999_999]
    const texts = await new EventTextsStore().list(fixture.db.reader, room, wanted)
    const [first, second, third, fourth] = wanted.map((nid) => texts.get(nid))
    expect(JSON.parse(first!)).to.have.nested.property('content.body', 'kept')
    expect(JSON.parse(second!)).to.deep.include({ content: {} })
    expect(JSON.parse(third!)).to.not.have.property('unsigned')
    expect(fourth).to.equal(undefined)
  })

  it('are passed on where another server has handed them over', async () => {
    const { db } = await createEventFixture(await open())
    const store = new RelayedEventsStore()
    await db.write('test', async (tx) => {
      await store.insert(tx, 7, 'a.test' as ServerName)
      await store.insert(tx, 7, 'b.test' as ServerName)
    })
    expect(await store.list(db.reader, [6, 7])).to.deep.equal(new Map([[7, 'a.test']]))
    expect(await store.list(db.reader, [])).to.deep.equal(new Map())
  })
})
