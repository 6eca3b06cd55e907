import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import type { SerializeOptions } from '../../../../src/services/events/client-events.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, BOB, ReadingFixture, readerOf } from '../../../support/reading-services.js'

function unsignedOf(json: JsonObject): JsonObject {
  const unsigned = json['unsigned']
  if (!isJsonObject(unsigned)) throw new Error('The event has no unsigned')
  return unsigned
}

forEachDatabase('ClientEvents', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
  })

  async function serialize(
    ids: readonly EventId[],
    options: SerializeOptions & { reader?: ReturnType<typeof readerOf> } = {},
  ): Promise<JsonObject[]> {
    const { reader = readerOf(ALICE), ...rest } = options
    return hs.reading.clientEvents.serialize(reader, await hs.get(...ids), rest)
  }

  it('tells how old an event is by the time it was sent', async () => {
    const [eventId] = await hs.say(ALICE, roomId, 'hello')
    hs.clock.advance(1234)
    const [json] = await serialize([eventId!])
    expect(unsignedOf(json!)).to.have.property('age', 1234)
    expect(json).to.include({ type: 'm.room.message', sender: ALICE, room_id: roomId, event_id: eventId })
  })

  it('gives the transaction ID to the device that has sent the event, and to no other', async () => {
    const eventId = await hs.send(ALICE, roomId, { txnId: 'txn' })
    const txnIdFor = async (reader: ReturnType<typeof readerOf>): Promise<JsonValue | undefined> =>
      unsignedOf((await serialize([eventId], { reader }))[0]!)['transaction_id']
    expect(await txnIdFor(readerOf(ALICE))).to.equal('txn')
    expect(await txnIdFor(readerOf(ALICE, 'OTHER'))).to.equal(undefined)
    expect(await txnIdFor(readerOf(BOB))).to.equal(undefined)
    expect(await txnIdFor({ userId: ALICE })).to.equal(undefined)
  })

  it('tells what a piece of state was before', async () => {
    const name = (text: string): Promise<EventId> =>
      hs.send(ALICE, roomId, { type: 'm.room.name', stateKey: '', content: { name: text } })
    const first = await name('first')
    await hs.join(BOB, roomId)
    const second = await name('second')
    const [one, two] = await serialize([first, second])
    expect(unsignedOf(one!)).to.not.have.any.keys('prev_content', 'replaces_state', 'prev_sender')
    expect(unsignedOf(two!)).to.deep.include({
      prev_content: { name: 'first' },
      replaces_state: first,
      prev_sender: ALICE,
    })
    const [asState] = await serialize([second], { purpose: 'state' })
    expect(unsignedOf(asState!)).to.have.all.keys('age')
  })

  it("tells the reader's membership at each event, own memberships after the fact", async () => {
    const [before] = await hs.say(ALICE, roomId, 'before')
    const join = await hs.join(BOB, roomId)
    const [joined] = await hs.say(ALICE, roomId, 'joined')
    const leave = await hs.leave(BOB, roomId)
    const ids = [before!, join, joined!, leave]
    const json = await serialize(ids, { reader: readerOf(BOB) })
    expect(json.map((event) => unsignedOf(event)['membership'])).to.deep.equal([
      'leave',
      'join',
      'join',
      'leave',
    ])
    const silent = await serialize(ids, { reader: readerOf(BOB), includeMembership: false })
    expect(silent.map((event) => unsignedOf(event)['membership'])).to.deep.equal(Array(4).fill(undefined))
  })

  it('shows redacted events without their content and with the redaction', async () => {
    const [eventId] = await hs.say(ALICE, roomId, 'secret')
    const redactionId = await hs.redact(ALICE, roomId, eventId!)
    const [json, redaction] = await serialize([eventId!, redactionId])
    expect(json!['content']).to.deep.equal({})
    expect(unsignedOf(json!)['redacted_by']).to.equal(redactionId)
    expect(unsignedOf(json!)['redacted_because']).to.deep.include({ event_id: redactionId, redacts: eventId })
    expect(redaction).to.have.property('redacts', eventId)
  })

  it('bundles the latest valid edit', async () => {
    const [eventId] = await hs.say(ALICE, roomId, 'typo')
    await hs.join(BOB, roomId)
    await hs.edit(ALICE, roomId, eventId!, { body: 'late', ts: 9_000_000_000_000 })
    const latest = await hs.edit(ALICE, roomId, eventId!, { body: 'latest', ts: 9_000_000_000_001 })
    await hs.edit(ALICE, roomId, eventId!, { body: 'earlier', ts: 8_000_000_000_000 })
    await hs.edit(BOB, roomId, eventId!, { body: 'not mine', ts: 9_000_000_000_005 })
    const relation = { relType: 'm.replace', eventId: eventId!, ts: 9_000_000_000_006 }
    await hs.relate(ALICE, roomId, { ...relation, content: { body: 'no new content' } })
    await hs.relate(ALICE, roomId, { ...relation, type: 'm.other', content: { 'm.new_content': {} } })
    const [json] = await serialize([eventId!])
    const replacement = (unsignedOf(json!)['m.relations'] as JsonObject)['m.replace'] as JsonObject
    expect(replacement['event_id']).to.equal(latest)
    expect(replacement['content']).to.have.property('m.new_content')
    expect(json!['content']).to.have.property('body', 'typo')
    await hs.redact(ALICE, roomId, latest)
    const [reverted] = await serialize([eventId!])
    expect(unsignedOf(reverted!)).to.have.nested.property('m\\.relations.m\\.replace.content.body', '* late')
    await hs.redact(ALICE, roomId, eventId!)
    const [gone] = await serialize([eventId!])
    expect(unsignedOf(gone!)).to.not.have.property('m.relations')
  })

  it('bundles threads with their latest event, which has its own edit', async () => {
    await hs.join(BOB, roomId)
    const [root] = await hs.say(ALICE, roomId, 'root')
    await hs.relate(BOB, roomId, { relType: 'm.thread', eventId: root! })
    const last = await hs.relate(BOB, roomId, { relType: 'm.thread', eventId: root! })
    const edit = await hs.edit(BOB, roomId, last, { body: 'edited' })
    const threadFor = async (reader: ReturnType<typeof readerOf>): Promise<JsonObject> =>
      (unsignedOf((await serialize([root!], { reader }))[0]!)['m.relations'] as JsonObject)[
        'm.thread'
      ] as JsonObject
    const thread = await threadFor(readerOf(ALICE))
    expect(thread).to.deep.include({ count: 2, current_user_participated: true })
    expect(thread).to.have.nested.property('latest_event.event_id', last)
    expect(thread).to.have.nested.property('latest_event.unsigned.m\\.relations.m\\.replace.event_id', edit)
    await hs.join('@carol:hs.test' as typeof ALICE, roomId)
    const carols = await threadFor(readerOf('@carol:hs.test' as typeof ALICE))
    expect(carols).to.have.property('current_user_participated', false)
    expect(await threadFor(readerOf(BOB))).to.have.property('current_user_participated', true)
  })

  it('leaves ignored users out of threads', async () => {
    await hs.join(BOB, roomId)
    const [root] = await hs.say(ALICE, roomId, 'root')
    const own = await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root! })
    await hs.relate(BOB, roomId, { relType: 'm.thread', eventId: root! })
    await hs.ignore(ALICE, [BOB])
    const [json] = await serialize([root!])
    expect(unsignedOf(json!)).to.have.nested.property('m\\.relations.m\\.thread.count', 1)
    expect(unsignedOf(json!)).to.have.nested.property('m\\.relations.m\\.thread.latest_event.event_id', own)
  })

  it('bundles references by their event IDs', async () => {
    const [eventId] = await hs.say(ALICE, roomId, 'poll')
    const answers = [
      await hs.relate(ALICE, roomId, { relType: 'm.reference', eventId: eventId! }),
      await hs.relate(ALICE, roomId, { relType: 'm.reference', eventId: eventId!, type: 'm.other' }),
    ]
    await hs.relate(ALICE, roomId, { relType: 'm.annotation', eventId: eventId!, type: 'm.reaction' })
    const [json] = await serialize([eventId!])
    expect(unsignedOf(json!)['m.relations']).to.deep.equal({
      'm.reference': { chunk: answers.map((id) => ({ event_id: id })) },
    })
    const [plain] = await serialize([eventId!], { bundle: false })
    expect(unsignedOf(plain!)).to.not.have.property('m.relations')
  })

  it('tells those who have left nothing of what related to events later', async () => {
    await hs.join(BOB, roomId)
    const [root] = await hs.say(ALICE, roomId, 'root')
    const seen = await hs.edit(ALICE, roomId, root!, { body: 'seen' })
    await hs.leave(BOB, roomId)
    await hs.edit(ALICE, roomId, root!, { body: 'unseen' })
    await hs.relate(ALICE, roomId, { relType: 'm.thread', eventId: root! })
    await hs.relate(ALICE, roomId, { relType: 'm.reference', eventId: root! })
    const [json] = await serialize([root!], { reader: readerOf(BOB) })
    const relations = unsignedOf(json!)['m.relations'] as JsonObject
    expect(Object.keys(relations)).to.deep.equal(['m.replace'])
    expect(relations['m.replace']).to.have.property('event_id', seen)
  })

  it('does not mix rooms', async () => {
    const other = await hs.createRoom()
    const [eventId] = await hs.say(ALICE, roomId, 'here')
    await hs.edit(ALICE, other, eventId!, { body: 'from elsewhere' })
    await hs.relate(ALICE, other, { relType: 'm.thread', eventId: eventId! })
    const [json] = await serialize([eventId!])
    expect(unsignedOf(json!)).to.not.have.property('m.relations')
  })

  it('keeps the order, and leaves the room ID out for a sync', async () => {
    const ids = await hs.say(ALICE, roomId, 'one', 'two', 'three')
    const json = await serialize([ids[2]!, ids[0]!, ids[1]!], { format: 'sync' })
    expect(json.map((event) => event['event_id'])).to.deep.equal([ids[2], ids[0], ids[1]])
    for (const event of json) expect(event).to.not.have.property('room_id')
    expect(await serialize([])).to.deep.equal([])
  })
})
