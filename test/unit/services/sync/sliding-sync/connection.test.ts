import { expect } from 'chai'
import type { UserId } from '../../../../../src/protocol/ids.js'
import { Connection, ConnectionChanges } from '../../../../../src/services/sync/sliding-sync/connection.js'
import { RequiredState } from '../../../../../src/services/sync/sliding-sync/required-state.js'
import { LIVE } from '../../../../../src/storage/stores/sliding-sync.js'

describe('Connection', () => {
  const key = { userId: '@a:hs.test' as UserId, deviceId: '' as const, connId: '' }

  function begin(maxMembers = 10): Connection {
    return new Connection({ nid: 1, key, lastUsedTs: 0 }, { version: 0, lastVersion: 0 }, { maxMembers })
  }

  function answer(connection: Connection, fill: (changes: ConnectionChanges) => void): number {
    const changes = new ConnectionChanges(connection.rooms)
    fill(changes)
    const version = connection.nextVersion()
    connection.await(version, changes)
    return version
  }

  it('takes an answer for received when the client comes back from it', () => {
    const connection = begin()
    const version = answer(connection, (changes) => {
      changes.note(7, { sent: LIVE })
      changes.members.set('7 @b:hs.test', 70)
    })
    expect(connection.rooms.size).to.equal(0)
    expect(connection.resume(version)).to.equal('known')
    expect(connection.rooms.get(7)).to.include({ sent: LIVE, timelineLimit: 0 })
    expect(connection.sentMember(7, '@b:hs.test')).to.equal(70)
    expect(connection.resume(0)).to.equal(undefined)
  })

  it('takes it for lost when the client comes back from the one before', () => {
    const connection = begin()
    const lost = answer(connection, (changes) => changes.note(7, { sent: LIVE }))
    expect(connection.resume(0)).to.equal('lost')
    expect(connection.rooms.size).to.equal(0)
    expect(connection.resume(lost)).to.equal(undefined)
    expect(answer(connection, (changes) => changes.note(8, { sent: 5 }))).to.be.greaterThan(lost)
    const members = begin()
    answer(members, (changes) => changes.members.set('7 @b:hs.test', 70))
    expect(members.resume(0)).to.equal('known')
    expect(members.sentMember(7, '@b:hs.test')).to.equal(undefined)
  })

  it('forgets first the members that were sent longest ago', () => {
    const connection = begin(2)
    const version = answer(connection, (changes) => {
      for (const name of ['a', 'b', 'c']) changes.members.set(`7 ${name}`, 1)
    })
    connection.resume(version)
    expect(connection.sentMember(7, 'a')).to.equal(undefined)
    expect(connection.sentMember(7, 'c')).to.equal(1)
  })

  it('is as large as what its rooms do not share', () => {
    const pairs = Array.from({ length: 1_000 }, (_, index) => ['org.example.x', String(index)] as const)
    const sizeWith = (states: readonly RequiredState[]): number => {
      const connection = begin()
      const version = answer(connection, (changes) => {
        for (const [index, requiredState] of states.entries()) changes.note(index, { requiredState })
      })
      connection.resume(version)
      return connection.size
    }
    const [first, second] = [RequiredState.of(pairs, key.userId), RequiredState.of(pairs, key.userId)]
    expect(sizeWith([first, first])).to.be.greaterThan(10_000)
    expect(sizeWith([first, second])).to.be.greaterThan(sizeWith([first, first]) * 1.5)
  })

  it('notes no change where nothing changes', () => {
    const connection = begin()
    const version = answer(connection, (changes) => changes.note(7, { sent: LIVE, timelineLimit: 3 }))
    connection.resume(version)
    const changes = new ConnectionChanges(connection.rooms)
    changes.note(7, { sent: LIVE })
    expect(changes.isEmpty).to.equal(true)
    changes.note(7, { sent: 5 })
    expect(changes.rooms.get(7)).to.include({ sent: 5, timelineLimit: 3 })
  })
})
