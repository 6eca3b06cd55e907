import createKnex from 'knex'
import type { Dialect } from '../dialect.js'
import type { SqlConnection } from '../sql-connection.js'
import { SqlTx, type QuerySupport, type TxHooks } from '../sql-query.js'
import { TransactionScope } from '../transaction-scope.js'
import type { TargetTx } from './port-side.js'

export type TargetMethods = Pick<TargetTx, 'insertRows' | 'deleteRows' | 'insertWords'>

/** Runs transactions on one connection of porting's own, one at a time and once each: nobody else writes. */
export class TargetTransactions {
  readonly #connection: SqlConnection
  readonly #support: QuerySupport
  readonly #methods: (tx: SqlTx) => TargetMethods

  constructor(
    connection: SqlConnection,
    { dialect, methods }: { dialect: Dialect; methods: (tx: SqlTx) => TargetMethods },
  ) {
    this.#connection = connection
    this.#support = {
      dialect,
      knex: createKnex(
        dialect.name === 'sqlite' ? { client: 'sqlite3', useNullAsDefault: true } : { client: 'pg' },
      ),
      insertSql: new Map(),
    }
    this.#methods = methods
  }

  async run<T>(name: string, work: (tx: TargetTx) => Promise<T>): Promise<T> {
    const scope = new TransactionScope({ name, begin: 'BEGIN', connection: this.#connection })
    const hooks: TxHooks = { afterCommit: [], afterRollback: [] }
    const tx = new SqlTx(this.#support, scope, hooks)
    try {
      const result = await work(Object.assign(tx, this.#methods(tx)))
      await scope.commit()
      for (const hook of hooks.afterCommit) hook()
      return result
    } catch (error) {
      await scope.rollback()
      throw scope.failure !== undefined && scope.isAftermath(error) ? scope.failure : error
    }
  }
}
