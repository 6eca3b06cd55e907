import { expect } from 'chai'
import { forEachDatabase } from '../../support/databases.js'

forEachDatabase('database', (open) => {
  it('opens', async () => {
    const db = await open()
    expect(await db.reader.first('SELECT COUNT(*) AS n FROM rooms')).to.deep.equal({ n: 0 })
  })
  it('opens again', async () => {
    const db = await open()
    expect(await db.reader.first('SELECT COUNT(*) AS n FROM rooms')).to.deep.equal({ n: 0 })
  })
})
