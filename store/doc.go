// Package store keeps everything plugbeat knows in one bbolt file, and is the
// only package that knows it is bbolt.
//
// # Guarantees
//
//   - A write that was acknowledged survives kill -9.
//   - Every index row has its record and every record its index rows.
//   - The ledger balances: a webhook's produced deliveries are the finished ones
//     and those in its queue. It moves in the transaction of the change.
//   - Decisions are made in the transaction that commits them, on what stands there.
//   - No reader outlives its call: a read copies out a bounded page and ends.
//   - Signing keys and vendors' tokens are sealed from the first write.
//
// [Maintenance.Check] and [CheckFile] prove the second and third by walking every index
// both ways.
//
// # Parts
//
// A [Store] is made of parts, each about one thing: [WebhookRecords], [Schedules],
// [VehicleRecords], [DeliveryRecords], [Access], [Secrets] and [Maintenance]. They share
// one open file (core.go) with its writer (writer.go), and one transaction (tx.go), so
// that a change of several things is one commit. What a part reads or changes is a function beside it; what
// several parts do to a record is a method of the transaction.
//
// Functions of the package work on a file that no process has open: [CheckFile],
// [CopyFile], [SaveCopy], [Compact], [Restore], [Describe], [Inspect].
//
// # Buckets
//
// Keys have a fixed width and are big-endian, so order on disk is order in time
// or by id. Times in keys are unix milliseconds in 8 bytes; ids are 16 bytes.
//
//	meta             name                               schema, instance, created, canary, last_id
//	webhooks         webhook                            JSON: settings, status, circuit breaker, ledger, sealed key
//	vehicles         vehicle                            JSON
//	vehicle_state    vehicle                            JSON: plug state, newest readings, counts of reads
//	subscriptions    webhook vehicle                    JSON
//	subs_by_vehicle  vehicle webhook                    empty
//	slots            webhook vehicle                    43 bytes, version first (codec.go)
//	slot_due         source16 time webhook vehicle      empty: this bucket is the due queue, one cursor a source
//	deliveries       delivery                           JSON: state, retries; neither payload nor attempts
//	attempts         delivery n32                       JSON
//	payloads         delivery                           the bytes that are sent
//	waiting          webhook delivery                   vehicle, retry time if set aside: a webhook's queue, in the order of creation
//	finished         time delivery                      empty: what is finished, for retention
//	secrets          name                               sealed
//	grants           name                               JSON: an access token's hash and reach
//	grants_by_hash   sha256                             name
//	consents         consent                            JSON: what an owner allowed the application, its tokens as hashes
//	consents_by_hash sha256                             consent, for its code and each of its tokens
//	history          vehicle time                       2 to 14 bytes: a reading in short form, version first (history.go)
//
// The buckets slots and slot_due hold schedules. A schedule whose webhook does not fire
// is parked: it has no due time and no row in slot_due.
// Delivery ids are made by the writer and only grow, so a queue is in commit order.
//
// # Writing
//
// One goroutine commits (writer.go). It takes all operations that queued while
// the last commit ran, so an idle store commits one operation at once and a busy
// one groups by itself. An operation checks first and writes after; a refused one
// has written nothing and the group goes on without it.
//
// # Removal in steps
//
// Removing a webhook or a vehicle may touch more rows than one transaction
// should. It is marked as being removed first, which hides it, then emptied in
// slices each of which keeps every guarantee, then deleted. [Open] ends a removal
// that was interrupted.
package store
