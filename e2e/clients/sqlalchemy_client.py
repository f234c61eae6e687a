# SQLAlchemy's reflection, which Superset, pandas and Alembic use.
from sqlalchemy import MetaData, create_engine, inspect, text

engine = create_engine("postgresql+psycopg2://")
i = inspect(engine)
print("schemas", len(i.get_schema_names()) > 0)
for table in i.get_table_names() + i.get_view_names():
    i.get_columns(table), i.get_pk_constraint(table), i.get_foreign_keys(table), i.get_indexes(table)
    i.get_unique_constraints(table), i.get_check_constraints(table), i.get_table_comment(table), i.get_table_options(table)
for view in i.get_view_names():
    i.get_view_definition(view)
i.get_enums(), i.get_sequence_names()
m = MetaData()
m.reflect(engine, views=True)
print("reflected", len(m.tables["people"].columns), "columns", len(m.tables["visits"].foreign_keys), "key")
with engine.connect() as c:
    print("first", *c.execute(text("SELECT id, secret, shown FROM people WHERE id = :id"), {"id": 1}).first(), sep="|")
    print("first", *c.execute(m.tables["people"].select().where(m.tables["people"].c.id == 1)).first()[:3], sep="|")
