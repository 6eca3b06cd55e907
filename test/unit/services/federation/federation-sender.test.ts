import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import type { DestinationBacklog } from '../../../../src/services/federation/destination-backlog.js'
import type { QueuedPdu } from '../../../../src/services/federation/outgoing-transactions.js'
import { FederationSender } from '../../../../src/services/federation/federation-sender.js'
import type { StoredReceiptBacklog } from '../../../../src/services/federation/missed-receipts.js'
import { FederationError } from '../../../../src/services/remote/federation-error.js'
import type { MissedRoom } from '../../../../src/storage/stores/missed-rooms.js'
import type { Logger } from '../../../../src/telemetry/logger.js'
import { nextTurn } from '../../../../src/util/clock.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { ManualClock } from '../../../support/manual-clock.js'

const OTHER = 'other.test' as ServerName
const MINUTE = 60_000
const MAX_AT_ONCE = 50

describe('FederationSender', () => {
  let clock: ManualClock
  let requests: ServerName[]
  /** How many EDUs each request had. */
  let edus: number[]
  let answer: (destination: ServerName) => JsonObject | Promise<JsonObject>
  let logged: object[]
  let behind: ServerName[]
  let outbox: string[]
  let loads: number
  let recorded: (rooms: readonly MissedRoom[]) => Promise<void>
  let settled: number[]
  let sender: FederationSender

  beforeEach(async () => {
    clock = new ManualClock()
    requests = []
    edus = []
    answer = () => ({ pdus: {} })
    logged = []
    behind = []
    outbox = []
    loads = 0
    recorded = () => Promise.resolve()
    settled = []
    sender = await create()
  })

  async function create(): Promise<FederationSender> {
    const backlog: Pick<
      DestinationBacklog,
      'loadOutbox' | 'loadCatchUp' | 'acknowledge' | 'recordMissed' | 'listDestinations'
    > = {
      loadOutbox: () =>
        Promise.resolve({
          edus: outbox.map((type) => ({ edu_type: type, content: {} })),
          ...{ messages: [], deviceChanges: [], hasMore: false },
        }),
      loadCatchUp: () => {
        loads += 1
        return Promise.resolve({ events: [], rooms: [{ roomNid: 1, upTo: 1 }] })
      },
      acknowledge: () => {
        outbox = []
        return Promise.resolve()
      },
      recordMissed: (rooms) => recorded(rooms),
      listDestinations: () => Promise.resolve({ behind, awaited: [] }),
    }
    const made = new FederationSender({
      serverName: 'here.test' as ServerName,
      clock,
      client: {
        mayTalkTo: (server) => server !== 'unwanted.test',
        request: async ({ destination, body }) => {
          requests.push(destination)
          edus.push((body?.['edus'] as JsonObject[] | undefined)?.length ?? 0)
          return answer(destination)
        },
      },
      destinations: {
        filterReachable: (servers) => Promise.resolve([...servers]),
        retryAtTs: () => Promise.resolve(0),
        onAlive: () => () => undefined,
      },
      backlog: backlog as DestinationBacklog,
      receipts: { list: () => Promise.resolve(new Map()) } as unknown as StoredReceiptBacklog,
      logger: Object.fromEntries(
        ['debug', 'info', 'warn', 'error'].map((level) => [level, (fields: object) => logged.push(fields)]),
      ) as unknown as Logger,
    })
    made.onSettled((pdus) => settled.push(...pdus.map(({ streamOrdering }) => streamOrdering)))
    await made.start()
    return made
  }

  function pdu(streamOrdering: number): QueuedPdu {
    return { roomNid: 1, streamOrdering, json: { at: streamOrdering }, isLast: false }
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await nextTurn()
  }

  for (const [kind, details] of [
    ['malformed', {}],
    ['denied', {}],
    ['refused', { status: 400 }],
  ] as const) {
    it(`leaves a server alone for longer and longer whose answers are ${kind}`, async () => {
      answer = () => {
        throw new FederationError(OTHER, kind, 'nonsense', details)
      }
      await sender.addPdus([{ destination: OTHER, pdu: pdu(1) }])
      await settle()
      for (let second = 0; second < 59; second++) {
        clock.advance(1_000)
        await settle()
      }
      expect(requests).to.have.length(1)
      for (const minutes of [1, 2, 4]) {
        clock.advance(minutes * MINUTE)
        await settle()
      }
      expect(requests).to.have.length(4)
    })
  }

  it('lets go of what a server refuses which takes all else', async () => {
    outbox = ['m.direct_to_device']
    answer = () => {
      if (edus.at(-1) === 0) return { pdus: {} }
      throw new FederationError(OTHER, 'refused', 'it answers with M_BAD_JSON', { status: 400 })
    }
    sender.noteOutbox([OTHER])
    for (let minute = 0; minute < 30; minute++) {
      await settle()
      clock.advance(MINUTE)
    }
    await settle()
    expect(edus.at(-1)).to.equal(0)
    expect(edus.length).to.be.within(3, 10)
    expect([outbox, sender.queues]).to.deep.equal([[], 0])
    expect(logged.at(-1)).to.deep.equal({ destination: OTHER, types: ['m.direct_to_device'] })
  })

  it('forgets what it has for a server that the operator does not let it talk to', async () => {
    await sender.addPdus([{ destination: 'unwanted.test' as ServerName, pdu: pdu(1) }])
    await settle()
    expect([requests, settled, sender.queues]).to.deep.equal([[], [1], 0])
  })

  it('writes no more and no longer lines about refused events than it has sent events', async () => {
    answer = () => ({
      pdus: Object.fromEntries(
        Array.from({ length: 1_000 }, (_, n) => [`$${n}`, { error: 'x'.repeat(10_000) }]),
      ),
    })
    await sender.addPdus([{ destination: OTHER, pdu: pdu(1) }])
    await settle()
    expect(logged).to.have.length(1)
    expect(JSON.stringify(logged).length).to.be.lessThan(2_000)
    expect(settled).to.deep.equal([1])
  })

  it('reads what servers have missed that may still be away for a few of them at a time', async () => {
    behind = Array.from({ length: 3 * MAX_AT_ONCE }, (_, n) => `s${n}.test` as ServerName)
    const open: (() => void)[] = []
    answer = () => new Promise((resolve) => open.push(() => resolve({ pdus: {} })))
    await create()
    await settle()
    expect([loads, requests.length]).to.deep.equal([MAX_AT_ONCE, MAX_AT_ONCE])
    open.shift()?.()
    await settle()
    expect(new Set(requests).size).to.equal(MAX_AT_ONCE + 1)
  })

  it('keeps events for later that could not be written down as missed', async () => {
    answer = () => new Promise(() => undefined)
    const full = Array.from({ length: 501 }, (_, n) => ({ destination: OTHER, pdu: pdu(n + 1) }))
    recorded = () => Promise.reject(new Error('disk full'))
    await sender.addPdus(full)
    await settle()
    expect(settled).to.deep.equal([])
    expect(logged.length).to.be.greaterThan(0)
  })
})
