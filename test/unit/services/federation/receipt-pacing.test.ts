import { expect } from 'chai'
import type { RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import type { OutgoingEdu, OutgoingReceipt } from '../../../../src/services/federation/outgoing-edus.js'
import { ReceiptPacing } from '../../../../src/services/federation/receipt-pacing.js'
import { ManualClock } from '../../../support/manual-clock.js'

const SERVERS = Array.from({ length: 100 }, (_, index) => `s${index}.test` as ServerName)

function receiptOf(user: string, eventId: string): OutgoingReceipt {
  return {
    kind: 'receipt',
    roomId: '!room:a.test' as RoomId,
    userId: `@${user}:a.test` as UserId,
    threadId: undefined,
    eventId,
    ts: 1,
    streamId: 1,
  }
}

describe('ReceiptPacing', () => {
  let clock: ManualClock
  let sent: string[]
  let pacing: ReceiptPacing

  beforeEach(() => {
    clock = new ManualClock()
    sent = []
    const addEdu = (servers: Iterable<ServerName>, edu: OutgoingEdu): void => {
      if (edu.kind === 'receipt') sent.push(`${edu.eventId} to ${[...servers].length}`)
    }
    pacing = new ReceiptPacing({ clock, sender: { addEdu }, perRoomPerSecond: 50 })
  })

  it('sends the first receipt at once, and the newest of each user when the room has rested', () => {
    pacing.add(1, receiptOf('alice', '$1'), SERVERS)
    pacing.add(1, receiptOf('alice', '$2'), SERVERS)
    pacing.add(1, receiptOf('bob', '$3'), SERVERS)
    pacing.add(1, receiptOf('alice', '$4'), SERVERS)
    expect(sent).to.deep.equal(['$1 to 100'])
    // A hundred transactions at fifty a second.
    clock.advance(1_999)
    expect(sent).to.have.length(1)
    clock.advance(1)
    expect(sent).to.deep.equal(['$1 to 100', '$3 to 100', '$4 to 100'])
    pacing.add(1, receiptOf('alice', '$5'), SERVERS)
    expect(sent).to.have.length(3)
    clock.advance(2_000)
    expect(sent.at(-1)).to.equal('$5 to 100')
  })

  it('lets rooms rest by themselves, and for as long as they have servers', () => {
    pacing.add(1, receiptOf('alice', '$1'), SERVERS)
    pacing.add(2, receiptOf('alice', '$2'), SERVERS.slice(0, 2))
    pacing.add(2, receiptOf('alice', '$3'), SERVERS.slice(0, 2))
    clock.advance(40)
    expect(sent).to.deep.equal(['$1 to 100', '$2 to 2', '$3 to 2'])
  })

  it('remembers no room that has rested', () => {
    for (let room = 0; room < 10; room++) pacing.add(room, receiptOf('alice', '$1'), SERVERS)
    clock.advance(2_000)
    expect(clock.pending).to.equal(0)
  })

  it('hands over what waits before a stop', () => {
    pacing.add(1, receiptOf('alice', '$1'), SERVERS)
    pacing.add(1, receiptOf('alice', '$2'), SERVERS)
    pacing.flush()
    expect(sent).to.deep.equal(['$1 to 100', '$2 to 100'])
    expect(clock.pending).to.equal(0)
  })
})
