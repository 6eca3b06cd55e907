import type { Knex } from 'knex'

/** Threads by `m.relationship` (MSC2836): which event answers which, and what other servers say of the answers. */
export const name = '0035-event-relationships'

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('event_relationships', (table) => {
    table.bigInteger('child_nid').primary()
    table.bigInteger('room_nid').notNullable()
    table.text('parent_id').notNullable()
    table.text('rel_type').notNullable()
    table.bigInteger('origin_server_ts').notNullable()
    table.index(['parent_id', 'room_nid', 'origin_server_ts'], 'event_relationships_parent')
  })
  await knex.schema.createTable('told_children', (table) => {
    table.bigInteger('event_nid').primary()
    table.text('counts').notNullable()
    table.text('hash').notNullable()
  })
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('told_children')
  await knex.schema.dropTable('event_relationships')
}
