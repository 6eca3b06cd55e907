import { expect } from 'chai'
import pg from 'pg'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { path } from '../../support/matrix-client.js'

describe('server/homeserver', () => {
  it('tries what its database turns away again, though its clock stands still', async () => {
    await using hs = await startHomeserver({ database: 'postgres', clock: new ManualClock() })
    const alice = await hs.register('alice')
    await turnAway(hs, 'account_data')
    const target = path`/_matrix/client/v3/user/${alice.userId}/account_data/org.example`
    await alice.must('PUT', target, { body: { kept: true } })
    expect(await alice.must('GET', target)).to.deep.equal({ kept: true })
  })
})

/** Fails the next three writes to a table as if others were in their way. */
async function turnAway(hs: TestHomeserver, table: string): Promise<void> {
  const { database } = hs.config
  if (database.name !== 'postgres' || !('url' in database.connection)) throw new Error('No PostgreSQL')
  const client = new pg.Client({ connectionString: database.connection.url })
  await client.connect()
  try {
    // Sequences go on where transactions are undone.
    await client.query(`
      CREATE SEQUENCE turned_away;
      CREATE FUNCTION turn_away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('turned_away') <= 3 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER turn_away BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION turn_away()`)
  } finally {
    await client.end()
  }
}
