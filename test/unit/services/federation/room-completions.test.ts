import { expect } from 'chai'
import { RoomCompletions } from '../../../../src/services/federation/room-completions.js'

describe('RoomCompletions', () => {
  it('tells of rooms that became whole after the start, each once', async () => {
    const completed = [
      { roomNid: 1, position: 3 },
      { roomNid: 2, position: 6 },
    ]
    let position = 4
    let caughtUp = 0
    const told: (readonly number[])[] = []
    const completions = new RoomCompletions({
      partialRooms: {
        completedBetween: (after, upTo) => {
          caughtUp = upTo
          return completed.flatMap((room) =>
            room.position > after && room.position <= upTo ? [room.roomNid] : [],
          )
        },
      },
      eventStream: { position: () => position },
      onMembersKnown: (roomNids) => {
        told.push(roomNids)
        return Promise.resolve()
      },
      onError: (error) => expect.fail(String(error)),
    })
    const grow = async (to: number): Promise<void> => {
      position = to
      completions.onNewPosition('events')
      while (caughtUp < to) await Promise.resolve()
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    }
    completions.start()
    await grow(5)
    expect(told).to.deep.equal([])
    await grow(7)
    await grow(8)
    expect(told).to.deep.equal([[2]])
    await completions.stop()
  })
})
