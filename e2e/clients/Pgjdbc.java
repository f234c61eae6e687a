// pgjdbc: server-prepared statements in binary after the fifth execution, fetch sizes, CopyManager, and the
// DatabaseMetaData that Hibernate, DBeaver and other tools on the JVM ask.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import org.postgresql.PGConnection;

public class Pgjdbc {
    static Connection c;

    static String state(String sql) {
        try (Statement s = c.createStatement()) {
            s.execute(sql);
            return "none";
        } catch (SQLException e) {
            return e.getSQLState();
        }
    }

    static String one(String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    static int count(ResultSet r) throws SQLException {
        int n = 0;
        for (; r.next(); n++) for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) r.getObject(i);
        r.close();
        return n;
    }

    public static void main(String[] args) throws Exception {
        String e = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        c = DriverManager.getConnection(e + "?sslmode=disable", System.getenv("PGUSER"), System.getenv("PGPASSWORD"));
        System.out.println("user " + one("SELECT current_user"));
        PreparedStatement p = c.prepareStatement("SELECT id, secret, shown FROM people WHERE id > ? ORDER BY id");
        for (int i = 0; i < 8; i++) { // named and binary from the fifth on
            p.setInt(1, 0);
            ResultSet r = p.executeQuery();
            r.next();
            String first = "first|" + r.getInt(1) + "|" + r.getString(2) + "|" + r.getString(3);
            int n = 1 + count(r);
            if (i == 7) System.out.println("rows " + n + "\n" + first);
        }
        c.setAutoCommit(false);
        Statement s = c.createStatement();
        s.setFetchSize(7);
        System.out.println("cursor " + count(s.executeQuery("SELECT id, secret FROM people")));
        StringWriter out = new StringWriter();
        c.unwrap(PGConnection.class).getCopyAPI().copyOut("COPY people (id, secret) TO STDOUT", out);
        String[] lines = out.toString().split("\n");
        System.out.println("copy out " + lines.length + " " + lines[0].replace('\t', '|'));
        c.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY arrivals FROM STDIN", new StringReader("1\ta\n2\tb\n3\tc\n"));
        System.out.println("copy in " + one("SELECT count(*) FROM arrivals"));
        c.rollback();
        PreparedStatement batch = c.prepareStatement("INSERT INTO arrivals VALUES (?, ?)");
        for (int i = 0; i < 300; i++) {
            batch.setInt(1, i);
            batch.setString(2, "x");
            batch.addBatch();
        }
        System.out.println("batch " + batch.executeBatch().length);
        c.rollback();
        c.setAutoCommit(true);
        System.out.println("rolled back " + one("SELECT count(*) FROM arrivals"));
        for (String sql : new String[] {"SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"}) System.out.println("error " + state(sql));

        DatabaseMetaData m = c.getMetaData();
        ResultSet[] all = {
            m.getCatalogs(), m.getSchemas(), m.getTableTypes(), m.getTypeInfo(), m.getTables(null, null, "%", null), m.getColumns(null, "public", "%", "%"),
            m.getPrimaryKeys(null, "public", "people"), m.getIndexInfo(null, "public", "people", false, true), m.getImportedKeys(null, "public", "visits"),
            m.getExportedKeys(null, "public", "people"), m.getCrossReference(null, "public", "people", null, "public", "visits"),
            m.getTablePrivileges(null, "public", "%"), m.getColumnPrivileges(null, "public", "people", "%"), m.getProcedures(null, null, "%"),
            m.getProcedureColumns(null, "public", "%", "%"), m.getFunctions(null, "public", "%"), m.getFunctionColumns(null, "public", "%", "%"),
            m.getUDTs(null, null, "%", null), m.getBestRowIdentifier(null, "public", "people", DatabaseMetaData.bestRowSession, true),
            m.getVersionColumns(null, "public", "people"), m.getClientInfoProperties(),
        };
        for (ResultSet r : all) count(r);
        m.getSQLKeywords(); m.getMaxColumnNameLength(); m.getMaxIndexLength();
        System.out.println("metadata " + count(m.getColumns(null, "public", "people", "%")) + " columns");

        Statement slow = c.createStatement();
        boolean[] ended = {false};
        Thread t = new Thread(() -> {
            try {
                while (!ended[0]) { Thread.sleep(300); slow.cancel(); }
            } catch (Exception x) { x.printStackTrace(); }
        });
        t.start();
        String got = "none";
        try { slow.execute("SELECT pg_sleep(60)"); } catch (SQLException x) { got = x.getSQLState(); }
        ended[0] = true;
        t.join();
        System.out.println("cancel " + got);
        System.out.println("bye " + one("SELECT 1"));
        c.close();
    }
}
