import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.security.cert.CertPath;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.Extension;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Prints what Java's own path validation makes of certificates, one line for each.
 *
 * <p>Arguments: how to ask for revocation ({@code ocsp}, {@code nonce} for OCSP with a nonce so long that the question
 * needs a POST, {@code crl}, or {@code default} for what Java does unasked), then pairs of a certificate's file and its
 * issuer's.
 */
final class RevocationCheck {
    public static void main(String[] arguments) throws GeneralSecurityException, IOException {
        for (int i = 1; i < arguments.length; i += 2) {
            System.out.println(verdict(arguments[0], read(arguments[i]), read(arguments[i + 1])));
        }
    }

    private static String verdict(String way, X509Certificate certificate, X509Certificate issuer)
            throws GeneralSecurityException {
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(issuer, null)));
        // Unless told so, Java refuses every critical certificatePolicies that has a qualifier.
        parameters.setPolicyQualifiersRejected(false);
        if (!way.equals("default")) {
            PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
            checker.setOptions(options(way));
            if (way.equals("nonce")) {
                checker.setOcspExtensions(List.of(new Nonce()));
            }
            parameters.addCertPathChecker(checker);
        }
        CertPath path = CertificateFactory.getInstance("X.509").generateCertPath(List.of(certificate));
        try {
            validator.validate(path, parameters);
            return "good";
        } catch (CertPathValidatorException refusal) {
            return refusal.getCause() instanceof CertificateRevokedException revocation
                    ? "revoked " + revocation.getRevocationReason()
                    : refusal.getReason().toString();
        }
    }

    /** Without a fallback, the other source cannot cover up for this one. */
    private static Set<Option> options(String way) {
        return switch (way) {
            case "ocsp", "nonce" -> EnumSet.of(Option.NO_FALLBACK);
            case "crl" -> EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK);
            default -> throw new IllegalArgumentException(way);
        };
    }

    private static X509Certificate read(String file) throws GeneralSecurityException, IOException {
        try (InputStream octets = Files.newInputStream(Path.of(file))) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(octets);
        }
    }

    /** A nonce of 96 octets (RFC 9654); what Java sends of an extension is its DER. */
    private static final class Nonce implements Extension {
        private static final int OCTETS = 96;
        private static final byte[] OID = {6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2};
        private final byte[] octets = new byte[OCTETS];

        Nonce() {
            new SecureRandom().nextBytes(octets);
        }

        @Override
        public String getId() {
            return "1.3.6.1.5.5.7.48.1.2";
        }

        @Override
        public boolean isCritical() {
            return false;
        }

        @Override
        public byte[] getValue() {
            return value(4, octets);
        }

        @Override
        public void encode(OutputStream out) throws IOException {
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            content.write(OID);
            content.write(value(4, getValue()));
            out.write(value(0x30, content.toByteArray()));
        }

        private static byte[] value(int tag, byte[] content) {
            byte[] encoded = new byte[content.length + 2];
            encoded[0] = (byte) tag;
            encoded[1] = (byte) content.length;
            System.arraycopy(content, 0, encoded, 2, content.length);
            return encoded;
        }
    }
}
