"""Tells what Django knows of a project's migrations, as one line of JSON.

Fed to "python -" in the release's folder, with the arguments
MODE MANAGE DATABASE SETTINGS APP NAME. It works with Django 3.2 and later and
changes nothing: statements that could write are refused before they are sent.

    list     every migration, in order of application, and every problem
    up       what "migrate APP NAME" would do
    down     the target of "migrate APP TARGET" that takes back NAME alone
    observe  whether NAME is recorded, and whether what it makes is there
"""
import hashlib
import json
import os
import re
import runpy
import sys

# The project may print what it likes while it is loaded; only the answer goes
# to the real standard output.
answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

MODE, MANAGE, DATABASE, SETTINGS, APP, NAME = sys.argv[1:7]
SQL_LIMIT = 512 * 1024  # of all migrations together
HARMLESS = re.compile(
    r"\s*(--[^\n]*\n\s*)*(SELECT|SHOW|PRAGMA|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|SET\s+CONSTRAINTS)\b", re.I)


def refuse_writes(execute, sql, params, many, context):
    if not HARMLESS.match(sql if isinstance(sql, str) else str(sql)):
        raise PermissionError("planning must not write, but wants to: %.200s" % sql)
    return execute(sql, params, many, context)


def migration_id(key):
    return "%s.%s" % (key[0], key[1])


def main(*args, **kwargs):
    """Stands in for execute_from_command_line, which manage.py calls at its end."""
    import django

    django.setup()
    from django.db import DatabaseError, connections

    connection = connections[DATABASE]
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return finish({"unreachable": str(error).strip()})
    with connection.execute_wrapper(refuse_writes):
        finish({"list": listing, "up": plan_up, "down": plan_down, "observe": observation}[MODE](connection))


def finish(answer):
    json.dump(answer, answer_to)
    answer_to.write("\n")
    answer_to.flush()


def recorded_rows(connection):
    from django.db.migrations.recorder import MigrationRecorder

    return list(MigrationRecorder(connection).applied_migrations())


def listing(connection):
    from django.db.migrations.exceptions import InconsistentMigrationHistory
    from django.db.migrations.executor import MigrationExecutor

    recorded = recorded_rows(connection)
    answer = {"recorded": [migration_id(key) for key in recorded], "problems": [], "migrations": []}
    try:
        executor = MigrationExecutor(connection)
    except Exception as error:  # a migration can fail to load in any way
        answer["problems"].append("Django cannot load the migrations: %s: %s" % (type(error).__name__, error))
        return answer
    loader = executor.loader
    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        answer["problems"].append(str(error))
    for app, names in sorted(loader.detect_conflicts().items()):
        answer["problems"].append(
            "%s has %d migrations that nothing follows (%s): merge them with makemigrations --merge"
            % (app, len(names), ", ".join(sorted(names))))

    order = in_order(executor)
    sql = {}
    if not answer["problems"]:  # a graph with problems has no state to begin at
        sql = collect(connection, executor, [m for m in order if key_of(m) not in loader.applied_migrations])
    for migration in order:
        answer["migrations"].append(describe(connection, loader, migration, sql.get(key_of(migration))))
    known = {key for m in order for key in [key_of(m)] + list(m.replaces)}
    answer["unknown"] = sorted(migration_id(key) for key in recorded if key not in known)
    return answer


def key_of(migration):
    return (migration.app_label, migration.name)


def in_order(executor):
    """Every migration on disk. Those that are not in the graph, because a
    squashed one stands for them or is not used yet, come after the ones that
    settle whether they are applied."""
    loader = executor.loader
    plan = executor.migration_plan(loader.graph.leaf_nodes(), clean_start=True)
    order = [migration for migration, _ in plan]
    seen = {key_of(m) for m in order}
    rest = [m for key, m in sorted(loader.disk_migrations.items()) if key not in seen]
    return order + [m for m in rest if not m.replaces] + [m for m in rest if m.replaces]


def describe(connection, loader, migration, sql):
    key = key_of(migration)
    path = getattr(sys.modules.get(type(migration).__module__), "__file__", None)
    checksum = ""
    if path:
        with open(path, "rb") as file:
            checksum = "sha256:" + hashlib.sha256(file.read()).hexdigest()
        path = os.path.relpath(os.path.realpath(path), os.path.realpath(os.getcwd()))
    irreversible = [word(op) for op in flat(migration.operations) if not op.reversible]
    needs = []
    if key in loader.graph.node_map:
        needs = sorted(migration_id(parent.key) for parent in loader.graph.node_map[key].parents)
    operations = [word(op) for op in flat(migration.operations)]
    if sql and sql["why_not"]:
        operations.append("SQL not shown: " + sql["why_not"])
    return {
        "id": migration_id(key),
        "file": path or "",
        "checksum": checksum,
        "applied": key in loader.applied_migrations or any(
            key in other.replaces and other_key in loader.applied_migrations
            for other_key, other in loader.disk_migrations.items()),
        "atomic": bool(migration.atomic and connection.features.can_rollback_ddl),
        "irreversible": irreversible,
        "replaces": [migration_id(key) for key in migration.replaces],
        "operations": operations,
        "needs": needs,
        "sql": sql["text"] if sql else "",
    }


def flat(operations):
    """The operations that touch the database, out of SeparateDatabaseAndState."""
    for op in operations:
        if type(op).__name__ == "SeparateDatabaseAndState":
            yield from flat(op.database_operations)
        else:
            yield op


def word(op):
    kind = type(op).__name__
    if kind == "RenameField":
        return "%s %s.%s to %s" % (kind, op.model_name.lower(), op.old_name, op.new_name)
    if kind == "RenameModel":
        return "%s %s to %s" % (kind, op.old_name.lower(), op.new_name.lower())
    model, name = getattr(op, "model_name", None), getattr(op, "name", None)
    name = name or getattr(getattr(op, "index", getattr(op, "constraint", None)), "name", None)
    if isinstance(model, str):
        return "%s %s%s" % (kind, model.lower(), "." + name if isinstance(name, str) else "")
    return "%s %s" % (kind, name.lower()) if isinstance(name, str) else kind


def collect(connection, executor, pending):
    """The SQL of each pending migration, as sqlmigrate would print it."""
    found, left = {}, SQL_LIMIT
    graph = executor.loader.graph
    state = executor._create_project_state(with_applied_migrations=True)
    for migration in pending:
        if key_of(migration) not in graph.nodes:
            continue
        entry = found[key_of(migration)] = {"text": "", "why_not": "", "deferred": False}
        try:
            with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
                migration.apply(state.clone(), editor, collect_sql=True)
                entry["deferred"] = bool(editor.deferred_sql)
            text = "\n".join(editor.collected_sql)
            if len(text) > left:
                entry["why_not"] = "longer than %d bytes together" % SQL_LIMIT
            else:
                entry["text"] = text
                left -= len(text)
        except Exception as error:  # an operation may need what is not there yet
            entry["why_not"] = "%s: %.300s" % (type(error).__name__, error)
        state = migration.mutate_state(state, preserve=True)
    return found


def plan_steps(plan):
    return [{"id": migration_id(key_of(m)), "backwards": backwards} for m, backwards in plan]


def plan_up(connection):
    from django.db.migrations.executor import MigrationExecutor

    recorded = (APP, NAME) in recorded_rows(connection)
    executor = MigrationExecutor(connection)
    if recorded or (APP, NAME) not in executor.loader.graph.nodes:
        return {"recorded": recorded, "plan": []}
    return {"recorded": False, "plan": plan_steps(executor.migration_plan([(APP, NAME)]))}


def plan_down(connection):
    """Django goes back to a migration, not from one: the target is a parent in
    the same app, or none ("zero"). The first target whose plan is NAME alone
    is taken; otherwise the plan of the last shows what else would go."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    graph, key = executor.loader.graph, (APP, NAME)
    answer = {"recorded": key in recorded_rows(connection), "plan": [], "target": ""}
    if not answer["recorded"] or key not in graph.node_map:
        return answer
    parents = sorted(parent.key for parent in graph.node_map[key].parents if parent.key[0] == APP)
    for target in parents or [(APP, None)]:
        plan = executor.migration_plan([target])
        answer["plan"], answer["target"] = plan_steps(plan), target[1] or "zero"
        if [(key_of(m), backwards) for m, backwards in plan] == [(key, True)]:
            break
    answer["irreversible"] = [
        "%s in %s" % (word(op), migration_id(key_of(m)))
        for m, _ in plan for op in flat(m.operations) if not op.reversible]
    return answer


def observation(connection):
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    loader, key = executor.loader, (APP, NAME)
    answer = {"recorded": key in recorded_rows(connection), "found": [], "missing": [], "deferred": False}
    if key not in loader.graph.nodes:
        answer["problem"] = "the release has no migration %s.%s" % key
        return answer
    migration = loader.graph.nodes[key]
    answer["atomic"] = bool(migration.atomic and connection.features.can_rollback_ddl)
    before = loader.project_state([key], at_end=False)
    try:
        with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            migration.apply(before.clone(), editor, collect_sql=True)
            answer["deferred"] = bool(editor.deferred_sql)
    except Exception:  # then it cannot be excluded
        answer["deferred"] = True
    before, after = shape(before), shape(migration.mutate_state(before.clone(), preserve=True))
    there = actual(connection, {name.split(".")[0] for name in before ^ after})
    for name in sorted(before ^ after):
        as_after = (name in there) == (name in after)
        answer["found" if as_after else "missing"].append(
            "%s is %s" % (name, "there" if name in there else "not there"))
    return answer


def shape(state):
    """Tables and columns that a state of the models asks for."""
    names = set()
    for model in state.apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.managed and not meta.proxy and not meta.swapped:
            names.add(meta.db_table)
            names.update("%s.%s" % (meta.db_table, field.column) for field in meta.local_fields if field.column)
    return names


def actual(connection, tables):
    names = set()
    with connection.cursor() as cursor:
        for table in tables & set(connection.introspection.table_names(cursor)):
            names.add(table)
            names.update("%s.%s" % (table, c.name)
                         for c in connection.introspection.get_table_description(cursor, table))
    return names


def load():
    """Runs the project's own manage.py, which knows how the project is set up,
    and is called back where it would carry out a command."""
    if SETTINGS:
        os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    sys.path[0] = os.path.dirname(os.path.abspath(MANAGE))
    sys.argv = [MANAGE, "showmigrations", "--plan"]
    import django.core.management as management

    management.execute_from_command_line = main
    runpy.run_path(MANAGE, run_name="__main__")


load()
