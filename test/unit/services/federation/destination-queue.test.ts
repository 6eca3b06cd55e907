import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import type { DestinationBacklog } from '../../../../src/services/federation/destination-backlog.js'
import { DestinationQueue } from '../../../../src/services/federation/destination-queue.js'
import type { OutgoingEdu, OutgoingReceipt } from '../../../../src/services/federation/outgoing-edus.js'
import {
  withoutUnsigned,
  type Delivery,
  type QueuedPdu,
  type Transaction,
} from '../../../../src/services/federation/outgoing-transactions.js'
import type { ReceiptBacklog } from '../../../../src/services/federation/missed-receipts.js'
import type { MissedRoom } from '../../../../src/storage/stores/missed-rooms.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'

const SERVER = 'other.test' as ServerName
const MINUTE = 60_000

describe('DestinationQueue', () => {
  let clock: ManualClock
  let sent: (Transaction & { isInTurn: boolean })[]
  let answers: (() => Promise<Delivery> | Delivery)[]
  let missed: MissedRoom[]
  /** What waits in the outbox: the names of EDUs. */
  let outbox: string[]
  let givenUp: string[]
  /** As they are in the database: of each user the newest. */
  let receipts: OutgoingReceipt[]
  /** From where on receipts are written down as missed, as it changed. */
  let receiptPositions: (number | undefined)[]
  let settled: number[]
  let errors: unknown[]
  let idle: number
  let isInTurn: boolean
  let transactions: number
  let queue: DestinationQueue

  beforeEach(() => {
    clock = new ManualClock()
    sent = []
    answers = []
    missed = []
    outbox = []
    givenUp = []
    receipts = []
    receiptPositions = []
    settled = []
    errors = []
    idle = 0
    isInTurn = false
    transactions = 0
    queue = create()
  })
  afterEach(() => {
    expect(errors).to.deep.equal([])
  })

  function create(): DestinationQueue {
    // Rooms that are missed are caught up with by an event that is named after them.
    const backlog: Pick<DestinationBacklog, 'loadOutbox' | 'loadCatchUp' | 'acknowledge' | 'recordMissed'> = {
      loadOutbox: (_destination, max) => {
        const taken = outbox.slice(0, max)
        return Promise.resolve({
          edus: taken.map((name) => ({ edu_type: name, content: {} })),
          messages: taken.map((type) => ({ type })) as never,
          deviceChanges: [],
          hasMore: taken.length < outbox.length,
        })
      },
      loadCatchUp: () =>
        Promise.resolve({
          events: missed.map(({ roomNid, missedAt }) => ({ json: { room: roomNid, at: missedAt } })) as never,
          rooms: missed.map(({ roomNid, missedAt }) => ({ roomNid, upTo: missedAt })),
        }),
      acknowledge: (_destination, { messages }, { rooms }) => {
        const told = new Set(messages.map(({ type }) => type))
        outbox = outbox.filter((name) => !told.has(name))
        const done = new Set(rooms.map(({ roomNid }) => roomNid))
        missed = missed.filter(({ roomNid }) => !done.has(roomNid))
        return Promise.resolve()
      },
      recordMissed: (rooms) => {
        missed.push(...rooms)
        return Promise.resolve()
      },
    }
    const receiptBacklog: ReceiptBacklog = {
      load: (_destination, after) => {
        const page = receipts.filter(({ streamId }) => streamId > after).slice(0, 2)
        const end = receipts.at(-1)?.streamId ?? after
        const upTo = page.length < 2 ? end : page.at(-1)!.streamId
        return Promise.resolve({ receipts: page, upTo, isAll: upTo === end })
      },
      record: (_destination, after) => {
        receiptPositions.push(after)
        return Promise.resolve()
      },
    }
    return new DestinationQueue(SERVER, {
      clock,
      backlog: backlog as DestinationBacklog,
      receipts: receiptBacklog,
      inTurn: async (attempt) => {
        isInTurn = true
        try {
          return await attempt()
        } finally {
          isInTurn = false
        }
      },
      deliver: (_destination, transaction) => {
        sent.push({ ...transaction, isInTurn })
        return Promise.resolve(answers.shift()?.() ?? { outcome: 'delivered' })
      },
      nextTxnId: () => String(++transactions),
      onSettled: (pdus) => settled.push(...pdus.map(({ streamOrdering }) => streamOrdering)),
      onGivenUp: (edus) => givenUp.push(...edus.map(({ edu_type: type }) => type)),
      onIdle: () => idle++,
      onError: (error) => errors.push(error),
    })
  }

  function pdu(streamOrdering: number, changes: Partial<QueuedPdu> = {}): QueuedPdu {
    return { roomNid: 1, streamOrdering, json: { at: streamOrdering }, isLast: false, ...changes }
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await nextTurn()
  }

  const typing = (value: boolean): OutgoingEdu =>
    ({ kind: 'typing', roomId: '!r', userId: '@u:a.test', typing: value }) as never
  /** A receipt that has just been written. */
  const receipt = (streamId: number, user = 'u'): OutgoingReceipt => {
    const made = {
      kind: 'receipt',
      roomId: '!r',
      userId: `@${user}:a.test`,
      eventId: `$${streamId}`,
      ts: 1,
      streamId,
    }
    const written = { threadId: undefined, ...made } as OutgoingReceipt
    receipts = [...receipts.filter(({ userId }) => userId !== written.userId), written]
    return written
  }
  const receiptIds = (): string[][] =>
    sent.map(({ edus }) => [...JSON.stringify(edus).matchAll(/"(\$\d+)"/g)].map(([, id]) => id!))
  const later = (ms: number) => (): Delivery => ({ outcome: 'later', retryAt: clock.now() + ms })
  const numbers = (): unknown[][] => sent.map(({ pdus }) => pdus.map(({ at }) => at))

  /** Runs until nothing waits, or for so many minutes: how many it took. */
  async function runFor(minutes: number): Promise<number> {
    for (let minute = 0; minute < minutes; minute++) {
      if (queue.isIdle) return minute
      clock.advance(MINUTE)
      await settle()
    }
    return minutes
  }
  /** Answers as a server that refuses transactions which are so. */
  function refuseThose(isBad: (transaction: Transaction) => boolean): void {
    answers = Array.from({ length: 200 }, () => () => {
      if (!isBad(sent.at(-1)!)) return { outcome: 'delivered' }
      return { outcome: 'refused', retryAt: clock.now() + MINUTE }
    })
  }
  const eduNames = (): string[] => [
    ...new Set(sent.flatMap(({ edus }) => edus.map(({ edu_type: name }) => name))),
  ]

  it('sends fifty events at a time, in order, and what came meanwhile next', async () => {
    for (let n = 1; n <= 60; n++) expect(queue.addPdu(pdu(n))).to.equal(true)
    queue.flush()
    queue.flush()
    queue.addPdu(pdu(61))
    await settle()
    expect(numbers().map((list) => [list[0], list.at(-1)])).to.deep.equal([
      [1, 50],
      [51, 61],
    ])
    expect(settled).to.have.length(61)
    expect(queue.isIdle).to.equal(true)
    expect(idle).to.equal(1)
  })

  it('tells only the newest of what is about the same', async () => {
    queue.addEdu(typing(true))
    queue.addEdu(typing(false))
    queue.flush()
    await settle()
    expect(sent.flatMap(({ edus }) => edus.map(({ content }) => content['typing']))).to.deep.equal([false])
  })

  it('keeps every event through a short outage', async () => {
    answers = [later(1_000), later(2_000)]
    queue.addPdu(pdu(1))
    queue.addEdu(typing(true))
    queue.flush()
    await settle()
    expect(queue.isFailing).to.equal(true)
    queue.addPdu(pdu(2))
    queue.flush()
    await settle()
    expect(sent).to.have.length(1)
    clock.advance(1_000)
    await settle()
    clock.advance(2_000)
    await settle()
    expect(numbers()).to.deep.equal([[1], [1], [1], [2]])
    expect(sent.map((transaction) => transaction.isInTurn)).to.deep.equal([false, true, true, false])
    expect(sent.map(({ txnId }) => txnId)).to.deep.equal(['1', '1', '1', '2'])
    expect(sent[1]?.edus).to.deep.equal([])
    expect(settled).to.deep.equal([1, 2])
    expect(missed).to.deep.equal([])
  })

  it('tries in its turn what was left by an earlier start, until the destination has answered', async () => {
    missed = [{ destination: SERVER, roomNid: 1, missedAt: 5, isLast: false }]
    queue.noteBehind()
    queue.noteResumed()
    queue.flush()
    await settle()
    queue.addPdu(pdu(6))
    queue.flush()
    await settle()
    expect(sent.map((transaction) => transaction.isInTurn)).to.deep.equal([true, false])
  })

  it('is forgotten when nothing is left to be tried again', async () => {
    answers = [later(1_000)]
    queue.addEdu(typing(true))
    queue.flush()
    await settle()
    expect(queue.isIdle).to.equal(false)
    idle = 0
    clock.advance(1_000)
    await settle()
    expect([sent.length, queue.isIdle, idle]).to.deep.equal([1, true, 1])
  })

  it('writes down later what could not be written down as missed', async () => {
    queue.noteBehind()
    expect([queue.addPdu(pdu(7)), queue.mustRecord(pdu(7))]).to.deep.equal([false, true])
    queue.recording(Promise.reject(new Error('disk full')))
    queue.keep(pdu(7))
    queue.flush()
    await settle()
    expect(sent.flatMap(({ pdus }) => pdus)).to.deep.equal([{ room: 1, at: 7 }])
    expect(settled).to.deep.equal([7])
  })

  it('sends under another name what is caught up with after a long outage', async () => {
    answers = [later(1_000), later(3 * MINUTE)]
    queue.addPdu(pdu(1))
    queue.flush()
    await settle()
    clock.advance(1_000)
    await settle()
    clock.advance(3 * MINUTE)
    await settle()
    expect(numbers()).to.deep.equal([[1], [1], [1]])
    expect(new Set(sent.map(({ txnId }) => txnId)).size).to.equal(2)
    expect([missed, queue.isIdle]).to.deep.equal([[], true])
  })

  it('writes down rooms when it lasts, each once, and catches up with each', async () => {
    answers = [later(10 * MINUTE)]
    queue.addPdu(pdu(1))
    queue.addPdu(pdu(2, { roomNid: 2 }))
    queue.addPdu(pdu(3))
    queue.flush()
    await settle()
    expect(settled).to.deep.equal([1, 2, 3])
    expect(missed.map(({ roomNid, missedAt }) => [roomNid, missedAt])).to.deep.equal([
      [1, 3],
      [2, 2],
    ])
    expect(queue.addPdu(pdu(4, { roomNid: 3 }))).to.equal(false)
    expect(queue.mustRecord(pdu(4, { roomNid: 3 }))).to.equal(true)
    expect(queue.mustRecord(pdu(5, { roomNid: 3 }))).to.equal(false)
    expect(queue.mustRecord(pdu(6, { roomNid: 3, isLast: true }))).to.equal(true)
    missed.push({ destination: SERVER, roomNid: 3, missedAt: 6, isLast: true })
    expect(clock.pending).to.equal(1)

    queue.wake()
    await settle()
    expect(numbers().at(-1)).to.deep.equal([3, 2, 6])
    expect(missed).to.deep.equal([])
    expect(queue.isFailing).to.equal(false)
    expect(queue.addPdu(pdu(7))).to.equal(true)
    queue.flush()
    await settle()
    expect(numbers().at(-1)).to.deep.equal([7])
    expect(clock.pending).to.equal(0)
  })

  it('catches up by rooms when too much waits', async () => {
    let release: (delivery: Delivery) => void = () => undefined
    answers = [() => new Promise<Delivery>((resolve) => (release = resolve))]
    for (let n = 1; n <= 500; n++) expect(queue.addPdu(pdu(n))).to.equal(true)
    queue.flush()
    await settle()
    expect(queue.addPdu(pdu(501))).to.equal(false)
    expect(queue.mustRecord(pdu(501))).to.equal(true)
    const written = Promise.resolve()
    missed.push({ destination: SERVER, roomNid: 1, missedAt: 501, isLast: false })
    queue.recording(written)
    release({ outcome: 'delivered' })
    await settle()
    expect(numbers().at(-1)).to.deep.equal([501])
    expect(settled).to.have.length(500)
    expect(queue.isIdle).to.equal(true)
  })

  it('forgets what a server must never be told', async () => {
    answers = [(): Delivery => ({ outcome: 'never' })]
    queue.addPdu(pdu(1))
    queue.flush()
    await settle()
    expect(settled).to.deep.equal([1])
    expect(queue.isIdle).to.equal(true)
  })

  it('gives up what a server refuses by itself, and nothing else', async () => {
    outbox = Array.from({ length: 250 }, (_, n) => `edu ${n}`)
    const all = new Set(outbox)
    refuseThose(({ edus }) => edus.some(({ edu_type: name }) => name === 'edu 17' || name === 'edu 18'))
    queue.addPdu(pdu(1))
    queue.noteOutbox()
    queue.flush()
    await settle()
    expect(await runFor(60)).to.be.lessThan(40)
    expect(givenUp).to.deep.equal(['edu 17', 'edu 18'])
    expect([outbox, missed, queue.isIdle]).to.deep.equal([[], [], true])
    expect(new Set(eduNames())).to.deep.equal(all)
    expect(sent.at(-1)?.edus.length).to.be.greaterThan(10)
    expect(numbers().flat()).to.include(1)
  })

  it('sends less at a time to a server that refuses transactions for their size', async () => {
    outbox = Array.from({ length: 120 }, (_, n) => `edu ${n}`)
    refuseThose(({ edus }) => edus.length > 30)
    queue.noteOutbox()
    queue.flush()
    await settle()
    await runFor(60)
    expect([outbox, givenUp, queue.isIdle]).to.deep.equal([[], [], true])
  })

  it('gives up nothing for a server that takes no transactions at all', async () => {
    outbox = ['edu 1', 'edu 2']
    refuseThose(() => true)
    queue.addPdu(pdu(1))
    queue.noteOutbox()
    queue.flush()
    await settle()
    await runFor(30)
    expect([outbox, givenUp]).to.deep.equal([['edu 1', 'edu 2'], []])
    expect(sent.some(({ pdus, edus }) => pdus.length + edus.length === 0)).to.equal(true)
    answers = []
    await runFor(3)
    expect([outbox, givenUp, missed, queue.isIdle]).to.deep.equal([[], [], [], true])
  })

  it('sends what waits in the outbox to a server that refuses an event', async () => {
    outbox = ['edu 1', 'edu 2']
    refuseThose(({ pdus }) => pdus.length > 0)
    queue.addPdu(pdu(1))
    queue.noteOutbox()
    queue.flush()
    await settle()
    await runFor(10)
    expect([outbox, givenUp, missed.length]).to.deep.equal([[], [], 1])
  })

  it('tells of receipts that were missed, of each user the newest', async () => {
    answers = [later(1_000), later(1_000)]
    queue.addEdu(receipt(5))
    queue.flush()
    await settle()
    queue.addEdu(receipt(6, 'v'))
    queue.addEdu(receipt(7))
    queue.addEdu(receipt(8, 'w'))
    clock.advance(1_000)
    await settle()
    expect(receiptPositions).to.deep.equal([4])
    expect(queue.isIdle).to.equal(false)
    clock.advance(1_000)
    await settle()
    expect(receiptIds()).to.deep.equal([['$5'], ['$6', '$7'], ['$6', '$7'], ['$8']])
    expect(receiptPositions).to.deep.equal([4, undefined])
    expect(queue.isIdle).to.equal(true)
    queue.addEdu(receipt(9))
    queue.flush()
    await settle()
    expect(receiptIds().at(-1)).to.deep.equal(['$9'])
    expect(receiptPositions).to.deep.equal([4, undefined])
  })

  it('tells of receipts that come while those are told that were missed', async () => {
    let release: (delivery: Delivery) => void = () => undefined
    answers = [() => new Promise<Delivery>((resolve) => (release = resolve))]
    receipt(5)
    queue.noteReceipts(4)
    queue.flush()
    await settle()
    queue.addEdu(receipt(6, 'v'))
    release({ outcome: 'delivered' })
    await settle()
    expect(receiptIds()).to.deep.equal([['$5'], ['$6']])
    expect(receiptPositions).to.deep.equal([undefined])
    expect(queue.isIdle).to.equal(true)
  })

  it('writes down receipts that were not sent when it is stopped', async () => {
    let release: (delivery: Delivery) => void = () => undefined
    answers = [() => new Promise<Delivery>((resolve) => (release = resolve))]
    queue.addPdu(pdu(1))
    queue.flush()
    await settle()
    queue.addEdu(receipt(5))
    const stopped = queue.stop()
    release({ outcome: 'delivered' })
    await stopped
    expect(receiptPositions).to.deep.equal([4])
  })

  it('is done with missed receipts of rooms that the server has left', async () => {
    queue.noteReceipts(4)
    queue.flush()
    await settle()
    expect(sent).to.deep.equal([])
    expect(receiptPositions).to.deep.equal([undefined])
    expect(queue.isIdle).to.equal(true)
  })

  it('begins nothing after it was stopped', async () => {
    answers = [later(1_000)]
    queue.addPdu(pdu(1))
    queue.flush()
    await settle()
    await queue.stop()
    clock.advance(MINUTE)
    queue.wake()
    await settle()
    expect(sent).to.have.length(1)
    expect(clock.pending).to.equal(0)
  })

  it('sends events without what is not signed', () => {
    expect(withoutUnsigned({ type: 't', unsigned: { age: 1 } })).to.deep.equal({ type: 't' })
  })
})
